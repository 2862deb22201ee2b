#undef felbo
#undef float
#undef double
