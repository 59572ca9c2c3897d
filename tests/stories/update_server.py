"""goosebit itself, with one box and one image in its database. Says its port first, and at /state what it thinks of the box.

It takes images of SWUpdate and RAUC alone, and so this puts the image into its database without the look at it."""
import hashlib
import os
import socket
import sys
from pathlib import Path

directory, image = Path(sys.argv[1]), Path(sys.argv[2])
os.environ.update(
    GOOSEBIT_DB_URI=f"sqlite://{directory}/db.sqlite3",
    GOOSEBIT_ARTIFACTS_DIR=str(directory),
    GOOSEBIT_POLL_TIME="00:00:10",
    GOOSEBIT_DEVICE_AUTH__ENABLE="true",
    GOOSEBIT_DEVICE_AUTH__MODE="strict",
)
os.chdir(directory)

import uvicorn
from goosebit import app
from goosebit.db.config import TORTOISE_CONF
from goosebit.db.models import Device, Hardware, Software, UpdateModeEnum
from goosebit.device_manager import DeviceManager
from tortoise import Tortoise, run_async


async def fill():
    await Tortoise.init(config=TORTOISE_CONF)
    await Tortoise.generate_schemas()
    hardware = await Hardware.create(model="generic", revision="default")
    content = image.read_bytes()
    software = await Software.create(
        uri=image.as_uri(), size=len(content), hash=hashlib.sha1(content).hexdigest(), version="2.0"
    )
    await software.compatibility.add(hardware)
    await Device.create(
        id="box-1",
        hardware=hardware,
        auth_token="a1b2c3",
        assigned_software=software,
        update_mode=UpdateModeEnum.ASSIGNED,
    )


@app.get("/state")
async def state():
    device = await Device.get(id="box-1").prefetch_related("hardware")
    return {
        "state": str(device.last_state),
        "version": device.sw_version,
        "log": device.last_log,
        "progress": device.progress,
        "hardware": device.hardware.model,
    }


@app.get("/again")
async def again():
    await DeviceManager.update_force_update(await DeviceManager.get_device("box-1"), True)


run_async(fill())
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])
