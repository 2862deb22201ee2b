// From here to counting_off.h sources of felbo are compiled in a namespace of their own, with numbers that
// count in place of floating-point ones. All else has been included before (counted.h).
#define felbo felbo_counted
#define float ::counting::Number
#define double ::counting::Number
