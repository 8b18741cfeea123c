#pragma once
#include <capstone/capstone.h>
