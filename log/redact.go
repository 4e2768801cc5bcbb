package log

import "strings"

// redacted is what stands for a secret.
const redacted = "[redacted]"

// redaction finds keys whose values are secret, without regard to case.
type redaction struct {
	keys    map[string]bool // in lower case
	lengths uint64          // bit n: there is a key of n bytes
}

func newRedaction(keys []string) *redaction {
	r := &redaction{keys: map[string]bool{}}
	for _, k := range keys {
		r.keys[strings.ToLower(k)] = true
		r.lengths |= 1 << min(len(k), 63)
	}
	return r
}

func (r *redaction) has(key string) bool {
	return r.lengths&(1<<min(len(key), 63)) != 0 && r.keys[strings.ToLower(key)]
}
