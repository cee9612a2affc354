"""The rules of tracking, and the ways to reach them: `backend` is the protocol, the others keep it."""
