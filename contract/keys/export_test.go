package keys

// Rules are the limits of New.
var Rules = rules
