// For python3, without its headers.
#include <hotpatch.h>

void *PyUnicode_FromFormat(const char *, ...);

void *(*old_repr)(void *) HOTPATCH_ORIGINAL("PyObject_Repr");

void *new_repr(void *object) HOTPATCH_REPLACES("PyObject_Repr");
void *new_repr(void *object) {
    void *text = old_repr(object);
    return text ? PyUnicode_FromFormat("patched(%U)", text) : text;
}
