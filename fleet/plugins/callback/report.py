# Copyright (c) 2026 the flasher authors
# SPDX-License-Identifier: MIT
"""The report over a fleet. A callback, because a play that stops at a bad wave runs nothing more that could report."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import time

from ansible import context
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: report
type: aggregate
short_description: Which box got its firmware, which had it, which failed and why, and which were not begun
description:
  - Shows a table at the end of a run that has the task flasher.fleet.push, and writes it as JSON.
  - The file is written anew before and after each box, so that it is there too if Ansible itself is ended.
requirements:
  - C(callbacks_enabled = flasher.fleet.report) in ansible.cfg
options:
  file:
    description: Where the JSON goes.
    type: path
    default: flasher-report.json
    env:
      - name: FLASHER_REPORT
    ini:
      - section: callback_flasher_report
        key: file
"""

TASK = "flasher.fleet.push"
# The states of a box, and what the table says of them.
WORDS = {
    "written": "written",
    "right": "already right",
    "planned": "would be written",
    "prepared": "prepared",
    "failed": "failed",
    "unknown": "not known",
    "untouched": "untouched",
}
# Of several runs the one that counts.
WORST_FIRST = ("unknown", "failed", "planned", "prepared", "written", "right", "untouched")
COLORS = {"written": "green", "right": "green", "planned": "yellow", "failed": "red", "unknown": "red"}
# What the words of push mean. One that is not among them says nothing of the flash.
STATES = {"written": "written", "nothing-to-do": "right", "planned": "planned", "prepared": "prepared"}


class CallbackModule(CallbackBase):
    """A box has one line, whatever tasks and waves there are."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "flasher.fleet.report"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, display=None):
        super().__init__(display=display)
        self.boxes = {}
        # As they were before the task that runs.
        self.before = {}
        self.targets = []
        self.begun = time.time()

    def v2_playbook_on_play_start(self, play):
        # Of each wave anew. The boxes of the waves to come are among them.
        inventory = getattr(play.get_variable_manager(), "_inventory", None)
        hosts = inventory.get_hosts(play.hosts, ignore_restrictions=True) if inventory else []
        self.targets = [host.get_name() for host in hosts]
        if has_push(play):
            self._targeted()

    def v2_playbook_on_task_start(self, task, is_conditional):
        # A role may be included while the play is under way.
        if is_push(task):
            self._targeted()

    def _targeted(self):
        for name in self.targets:
            self.boxes.setdefault(name, untouched("not begun"))

    def v2_runner_on_start(self, host, task):
        if is_push(task):
            # Until it says how it ended.
            self.before[host.get_name()] = self.boxes.get(host.get_name())
            self.boxes[host.get_name()] = {"state": "unknown", "harm": "unknown", "reason": "push has not ended"}
            self._write()

    def v2_runner_on_ok(self, result):
        if is_push(result._task):
            self._ended(result, failed=False)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        if is_push(result._task):
            self._ended(result, failed=True)
        elif not ignore_errors:
            self._elsewhere(result)

    def v2_runner_on_unreachable(self, result):
        self._elsewhere(result)

    def v2_runner_on_skipped(self, result):
        if is_push(result._task):
            # What an earlier task did to it stays done.
            before = self.before.get(result._host.get_name())
            self._put(result, before if before and before["state"] != "untouched" else untouched("skipped"))

    def v2_playbook_on_stats(self, stats):
        if not self.boxes:
            return
        self._write()
        self._display.banner("FIRMWARE")
        width = max(map(len, self.boxes))
        for name, box in self.boxes.items():
            line = f"{name:{width}}  {WORDS[box['state']]}"
            if box["state"] == "failed":
                line += f", flash {box['harm']}" if box["harm"] != "unknown" else ", how its flash is is not known"
            if box.get("reason"):
                line += f": {one_line(box['reason'])}"
            self._display.display(line, color=COLORS.get(box["state"]))
        totals = self._totals().items()
        self._display.display(", ".join(f"{count} {WORDS[state]}" for state, count in totals if count))
        self._display.display(f"report: {self.get_option('file')}")

    def _ended(self, result, failed):
        # A loop has a result of each of its items, with what that of the whole task has lost here: whether it failed.
        items = result._result.get("results")
        entries = [entry(item, item.get("failed", failed)) for item in items or []] or [entry(result._result, failed)]
        self._put(result, min(entries, key=lambda box: WORST_FIRST.index(box["state"])))

    def _elsewhere(self, result):
        """A box that another task failed on."""
        box = self.boxes.get(result._host.get_name())
        why = f"{result._task.get_name()}: {result._result.get('msg', 'failed')}"
        if box and box["state"] == "untouched":
            self._put(result, dict(untouched(why), state="failed"))
        elif box:
            box.setdefault("reason", why)

    def _put(self, result, box):
        self.boxes[result._host.get_name()] = box
        self._write()

    def _totals(self):
        states = [box["state"] for box in self.boxes.values()]
        return {state: states.count(state) for state in WORDS}

    def _write(self):
        report = {
            "check": bool(context.CLIARGS.get("check")),
            "begun": stamp(self.begun),
            "ended": stamp(time.time()),
            "totals": self._totals(),
            "boxes": self.boxes,
        }
        path = self.get_option("file")
        file = None
        try:
            # Whoever reads it meanwhile has the old one or the new one.
            with tempfile.NamedTemporaryFile("w", dir=os.path.dirname(path) or ".", prefix=".report-", delete=False) as file:
                json.dump(report, file, indent=1)
                file.write("\n")
            os.chmod(file.name, 0o644)
            os.replace(file.name, path)
        except OSError as error:
            if file is not None:
                with contextlib.suppress(OSError):
                    os.unlink(file.name)
            self._display.warning(f"the report is not written: {error}")


def is_push(task):
    """Whether this is the task that the report is about."""
    return TASK in (task.action, getattr(task, "resolved_action", None))


def has_push(play):
    """Whether a play has that task, as far as can be told before it runs."""
    blocks = [block for role in play.roles for block in role.get_task_blocks()]
    tasks = [*play.pre_tasks, *blocks, *play.tasks]
    while tasks:
        task = tasks.pop()
        if hasattr(task, "rescue"):
            tasks += [*task.block, *task.rescue, *task.always]
        elif is_push(task):
            return True
    return False


def untouched(why):
    """A box that nothing was done to."""
    return {"state": "untouched", "harm": "untouched", "reason": why}


def entry(run, failed):
    """What the report has of a run of push."""
    if run.get("skipped"):
        return untouched("skipped")
    box = {name: run[name] for name in ("harm", "code", "rc", "sha256", "next") if run.get(name) is not None}
    box.setdefault("harm", "unknown")
    box["state"] = "failed" if failed else STATES.get(box.get("code"), "unknown")
    if box["state"] in ("failed", "unknown"):
        box["reason"] = run.get("msg", "push did not say how it ended")
    return box


def one_line(text):
    """Text without what moves a cursor."""
    return "".join(letter if letter.isprintable() else " " for letter in str(text))


def stamp(seconds):
    """The time as ISO 8601 has it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
