"""The rules of tracking, and the ways to reach them: `backend` is the protocol, `opening` chooses who keeps it."""
