#include "cpatch.h"
