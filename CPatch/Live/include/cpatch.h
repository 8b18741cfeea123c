#pragma once
#include "cpatch_core.h"
