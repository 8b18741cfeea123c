// A small patch library for a live python3.
const char *Py_GetVersion(void) { return "patched"; }
