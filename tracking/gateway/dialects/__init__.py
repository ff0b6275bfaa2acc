"""Wire formats, one file each: what a request says, what must be changed before it is sent on, what an answer says."""
