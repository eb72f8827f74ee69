"""Many files, one after the other or side by side, so that nothing is lost and nothing is done twice.

A `Work` is what all tracks of a batch have in common and how one is done, and workers do many in processes of
their own. One is the `Job` of separating: `done` does a track, the `Manifest` remembers what was done, by the
content of what went in and of what came out, and a `FolderLock` keeps batches of other settings away
meanwhile. The other is an `Evaluation`, of the tracks that two folders have in common.
"""
