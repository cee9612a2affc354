"""Journals on their way into backends, those of this process and those that dead processes left.

`shipment` is one journal, `lane` all that go to one backend, `shipper` the threads of this process, `recovery` the
journals whose process is gone. What a journal is, on the disk, is the business of `journal`.
"""
