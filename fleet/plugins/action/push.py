# Copyright (c) 2026 the flasher authors
# SPDX-License-Identifier: MIT
"""Runs `flasher push --format json` on the controller. What a box is, what it needs and how it ended is push's to say."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import tempfile

from ansible import constants
from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

ARGUMENTS = {
    "image": {"type": "list", "elements": "str", "required": True},
    "part": {"type": "list", "elements": "str"},
    "key": {"type": "str"},
    "sha256": {"type": "str"},
    "options": {"type": "list", "elements": "str", "default": []},
    "program": {"type": "str", "default": "flasher"},
    "binary": {"type": "str"},
    "wait": {"type": "int"},
    "new_host_key": {"type": "bool", "default": False},
    "verify": {"type": "bool", "default": False},
}
# What is known here of how push may end: the words for the flash, and those for an end that is a success with the flash as
# it is then.
HARMS = ("untouched", "partly", "written")
SUCCESSES = {"written": "written", "nothing-to-do": "untouched", "planned": "untouched", "prepared": "untouched"}

# What ssh runs where it would ask for a password. It tells it for nothing else that is asked, such as whether a host key is right,
# and to nobody but the box where a jump host may ask, too (`userauth_passwd` and `input_userauth_info_req` in OpenSSH's sshconnect2.c).
ASKPASS = """#!/bin/sh
case $1 in
    "$FLASHER_SSH_WHOM's password: " | "($FLASHER_SSH_WHOM) "*assword*) ;;
    *assword*) [ -z "$FLASHER_SSH_WHOM" ] || exit 1 ;;
    *) exit 1 ;;
esac
printf '%s\\n' "$FLASHER_SSH_PASSWORD"
"""

display = Display()


class ActionModule(ActionBase):
    """The task `flasher.fleet.push`."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp=None, task_vars=None):
        task_vars = task_vars or {}
        result = super().run(tmp, task_vars)
        host = task_vars["inventory_hostname"]
        try:
            _checked, args = self.validate_argument_spec(argument_spec=ARGUMENTS)
            if not args["image"] or not all(args["image"]):
                raise AnsibleError("there is no image")
            way = Way(self, task_vars)
            command = self._command(args, way)
            password = way.password()
            whom = way.whom() if password is not None else ""
        except (AnsibleError, ValueError) as error:
            return dict(result, **not_begun("arguments", error))
        show = not self._task.no_log
        if show:
            display.vv(shlex.join(command), host=host)
        heard = Heard(lambda text: show and display.v(text, host=host))
        # Not a pipe: nobody reads it before the end.
        with tempfile.TemporaryFile() as errors, Asked(password, whom) as environment:
            try:
                child = start(command, errors, environment)
            except OSError as error:
                return dict(result, **not_begun("no-program", f"{command[0]} does not start on the controller: {error}"))
            with child:
                for line in child.stdout:
                    heard.line(line)
            errors.seek(0)
            said = errors.read().decode("utf-8", "replace")
        result.update(heard.verdict(child.returncode, said))
        if self._task.diff and heard.plan:
            result["diff"] = {"prepared": heard.plan}
        return result

    def _command(self, args, way):
        command = [args["program"], "--format", "json", "push", "-v"]
        command.append("--dry-run" if self._task.check_mode else "--yes")
        command += ["--ssh", shlex.join(way.ssh())]
        for name in ("binary", "key", "sha256", "wait"):
            if args[name] is not None:
                command += [f"--{name}", str(args[name])]
        if args["part"]:
            command += ["--part", ",".join(args["part"])]
        for name in ("new_host_key", "verify"):
            if args[name]:
                command.append("--" + name.replace("_", "-"))
        return command + args["options"] + ["--", way.destination(), *args["image"]]


class Asked:
    """The environment in which ssh asks a program for the password, which stands in no command line and in no file."""

    def __init__(self, password, whom):
        self.answers = {"FLASHER_SSH_PASSWORD": password, "FLASHER_SSH_WHOM": whom}
        self.directory = None

    def __enter__(self):
        if self.answers["FLASHER_SSH_PASSWORD"] is None:
            return None
        self.directory = tempfile.TemporaryDirectory(dir=constants.DEFAULT_LOCAL_TMP)
        program = os.path.join(self.directory.name, "askpass")
        with open(program, "w", encoding="utf-8") as file:
            file.write(ASKPASS)
        os.chmod(program, 0o700)
        return dict(os.environ, SSH_ASKPASS=program, SSH_ASKPASS_REQUIRE="force", **self.answers)

    def __exit__(self, *_):
        if self.directory is not None:
            self.directory.cleanup()


def asks_a_program(ssh):
    """Whether this ssh asks a program although there is a terminal: `SSH_ASKPASS_REQUIRE` came with OpenSSH 8.4."""
    said = subprocess.run([ssh, "-V"], stdin=subprocess.DEVNULL, capture_output=True, check=False).stderr
    version = re.match(rb"OpenSSH_(\d+)\.(\d+)", said)
    return version is None or tuple(map(int, version.groups())) >= (8, 4)


def start(command, errors, environment):
    """Starts push. Nobody can be asked."""
    return subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=errors,
        encoding="utf-8",
        errors="replace",
    )


def printable(text):
    """Text without what moves a cursor: a box may say anything."""
    return "".join(letter if letter == "\n" or letter.isprintable() else " " for letter in str(text))


def not_begun(code, why):
    """The result of a task that did nothing."""
    return {"failed": True, "changed": False, "rc": 64, "code": code, "harm": "untouched", "msg": str(why)}


class Way:
    """How ssh reaches the box: as Ansible's own connection would, by inventory, configuration and command line."""

    def __init__(self, action, task_vars):
        self.connection = action._connection
        self.templar = action._templar
        self.variables = task_vars

    def _value(self, option, *variables):
        """An option of Ansible's ssh. With another connection, as of a delegated task, what the inventory says."""
        if self.connection.transport == "ssh":
            return self.connection.get_option(option)
        found = (self.variables[name] for name in variables if self.variables.get(name) not in (None, ""))
        return self.templar.template(next(found, None))

    def ssh(self):
        """The words of the ssh command. Of options that are given twice ssh takes the first, and push gives its own before."""
        words = [self._value("ssh_executable", "ansible_ssh_executable") or "ssh"]
        port = self._value("port", "ansible_port", "ansible_ssh_port")
        if port:
            words += ["-p", str(port)]
        key = self._value("private_key_file", "ansible_private_key_file", "ansible_ssh_private_key_file")
        if key:
            words += ["-i", key]
        # Ansible's own default compresses, which is slow work for a small box, and push packs what it sends.
        words += ["-o", "Compression=no"]
        for name in ("ssh_args", "ssh_common_args", "ssh_extra_args"):
            words += shlex.split(self._value(name, f"ansible_{name}") or "")
        # There is no terminal where it could ask.
        return words + (["-o", "BatchMode=yes"] if self.password() is None else ["-o", "NumberOfPasswordPrompts=1"])

    def password(self):
        """What Ansible's own connection would answer; `None` where there is none."""
        password = self._value("password", "ansible_password", "ansible_ssh_pass", "ansible_ssh_password")
        if password in (None, ""):
            return None
        ssh = self._value("ssh_executable", "ansible_ssh_executable") or "ssh"
        try:
            able = asks_a_program(ssh)
        except OSError as error:
            raise AnsibleError(f"{ssh}: {error}") from error
        if not able:
            raise AnsibleError(f"{ssh} cannot be told a password (OpenSSH 8.4 is the first that can): use keys")
        return str(password)

    def whom(self):
        """What ssh calls the box where it asks for the password, if a jump host may ask for its own; empty if nobody else can."""
        command = [*self.ssh(), "-G", "--", self.destination()]
        said = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        lines = said.stdout.decode("utf-8", "replace").splitlines()
        about = dict(line.partition(" ")[::2] for line in lines)
        alone = all(about.get(name, "none") == "none" for name in ("proxyjump", "proxycommand"))
        if said.returncode == 0 and alone:
            return ""
        return f"{about.get('user')}@{about.get('hostkeyalias') or about.get('hostname')}"

    def destination(self):
        host = self._value("host", "ansible_host", "ansible_ssh_host") or self.variables["inventory_hostname"]
        user = self._value("remote_user", "ansible_user", "ansible_ssh_user")
        return f"{user}@{host}" if user else host


class Heard:
    """What push says, event by event."""

    def __init__(self, tell):
        self.tell = tell
        self.plan = None
        self.last_stage = None
        self.error = {}
        self.result = None
        self.found = {}
        self.warnings = []

    def line(self, line):
        try:
            event = json.loads(line)
            kind = event["event"]
        except (ValueError, TypeError, KeyError):
            return
        text = printable(event.get("text", ""))
        if kind == "stage":
            self.last_stage = text
            self.tell(text)
        elif kind == "plan":
            self.plan = text
        elif kind == "warning":
            self.warnings.append(text)
        elif kind == "error":
            self.error = {name: printable(event[name]) for name in ("text", "next") if event.get(name)}
        elif kind == "question":
            self.found.update({name: event[name] for name in ("sha256", "seconds") if name in event})
        elif kind == "devices":
            box = {name: value for name, value in event.items() if name != "event"}
            self.found["ansible_facts"] = {"flasher_box": box}
        elif kind == "result":
            self.result = event

    def verdict(self, status, said):
        """The result of the task. It is a success only where push said so and ended so."""
        result = dict(self.found, rc=status)
        if self.plan:
            result["plan"] = self.plan
        if self.warnings:
            result["warnings"] = self.warnings
        ended = self.result
        if ended is None:
            how = f"signal {-status}" if status < 0 else f"exit code {status}"
            last = said.strip().splitlines()[-1:] or ["it said nothing"]
            return dict(
                result,
                failed=True,
                changed=True,
                harm="unknown",
                code="no-result",
                msg=f"push ended with {how} and without a result: {printable(last[0])}; the same again finds out how the box is",
            )
        result.update({name: ended[name] for name in ("erased", "unchanged", "retried", "corrected") if name in ended})
        result["code"] = printable(ended.get("code", "unknown"))
        result["harm"] = ended.get("harm") if ended.get("harm") in HARMS else "unknown"
        known = SUCCESSES.get(result["code"]) == result["harm"]
        result["failed"] = not (ended.get("ok") is True and status == 0 and known)
        if result["failed"]:
            result["changed"] = result["harm"] != "untouched"
            how = f"push ended with exit code {status}, {result['code']}"
            result["msg"] = self.error.get("text") or how
            result["msg"] += {
                "untouched": "; the flash is untouched",
                "partly": "; the flash is partly written, or how it is is not known here",
                "written": "; the flash is written",
                "unknown": "; how the flash is is not known here",
            }[result["harm"]]
            if self.error.get("next"):
                result["next"] = self.error["next"]
        else:
            result["changed"] = result["code"] != "nothing-to-do"
            result["msg"] = self.last_stage or result["code"]
        return result
