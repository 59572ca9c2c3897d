# Copyright (c) 2026 the flasher authors
# SPDX-License-Identifier: MIT
"""What ansible-doc shows. The work is done on the controller, by the action plugin of the same name."""

DOCUMENTATION = r"""
module: push
short_description: Give a box new firmware with flasher push
description:
  - Runs C(flasher push --format json) on the controller, over the ssh that Ansible would use for the box. Nothing is run on the
    box but flasher; it needs neither Python nor scp nor sftp.
  - A box whose flash is right already is left alone and not changed.
  - In check mode the plan is made and nothing is touched. What would be written counts as changed; with C(--diff) the plan is
    shown.
options:
  image:
    description:
      - The image, or PARTITION=FILE once or more often. A path is relative to the directory that Ansible is started in.
    type: list
    elements: str
    required: true
  part:
    description: The partitions that the image goes to.
    type: list
    elements: str
  key:
    description: A public key that must have signed the image.
    type: str
  sha256:
    description: The checksum of the image, or a file as sha256sum writes it.
    type: str
  options:
    description: More options of push, a word each.
    type: list
    elements: str
    default: []
  program:
    description: The workstation's flasher.
    type: str
    default: flasher
  binary:
    description: The flasher that the box is to run. Without it push finds one for the processor of the box.
    type: str
  wait:
    description: Seconds that the box may take until it answers again.
    type: int
  new_host_key:
    description: Whether the box may have another ssh host key after the update.
    type: bool
    default: false
  verify:
    description: Whether the flash is compared with the image at the end in any case.
    type: bool
    default: false
author:
  - the flasher authors
"""

EXAMPLES = r"""
- name: Give the box its firmware
  flasher.fleet.push:
    image: image.bin
    part: [Kernel, RootFS1]
"""

RETURN = r"""
rc:
  description: The exit code of push.
  returned: always
  type: int
code:
  description: How it ended, in one word.
  returned: always
  type: str
harm:
  description: The state of the flash. Where push did not say it, it is unknown.
  returned: always
  type: str
  sample: written
next:
  description: What to do next.
  returned: failure, where push says it
  type: str
plan:
  description: The plan for people.
  returned: where one was made
  type: str
sha256:
  description: The checksum of what is written.
  returned: where something is to be written
  type: str
seconds:
  description: How long the plan says that it takes.
  returned: where something is to be written
  type: int
erased:
  description: Erase blocks that were erased.
  returned: where push said how it ended
  type: int
ansible_facts:
  description: What C(flasher devices) says of the box, as C(flasher_box).
  returned: where the box says it
  type: dict
"""
