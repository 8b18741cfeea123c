#include "cpatch_core.h"
