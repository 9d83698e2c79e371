"""What the tests of the whole process share: the router as a child process, scripted pods, raw clients."""
