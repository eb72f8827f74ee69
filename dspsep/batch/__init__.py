"""Many files, one after the other or side by side, so that nothing is lost and nothing is done twice.

A `Job` is what all tracks of a batch have in common, a `Task` is one track; `done` does one, and `Workers`
do many in processes of their own. The `Manifest` remembers what was done, by the content of what went in and
of what came out; a `FolderLock` keeps batches of other settings away meanwhile.
"""
