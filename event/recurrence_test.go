package event

import (
	"errors"
	"testing"
)

// What String returns is read back; what another version may have kept is refused.
func TestRecurrencesAreReadBack(t *testing.T) {
	for text, ok := range map[string]bool{
		"every 1h0m0s": true, "every hour": false, "every 1ms": false,
		"cron Europe/Berlin 0 9 * * 1-5": true, "cron Europe/Nowhere 0 9 * * 1-5": false, "cron UTC 0 9 * *": false,
		"monthly": false, "": false,
	} {
		r, err := parseRecurrence(text)
		if ok && (err != nil || r.String() != text) || !ok && !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %q, %v", text, r, err)
		}
	}
}
