"""Shared by the tests of the whole process: the router as a child process, scripted pods, raw clients."""
