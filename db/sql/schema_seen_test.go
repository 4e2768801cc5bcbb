package sql

import "testing"

// What one Ensure saw before another made an index does not hide that index.
func TestIndexesThatWereSeenStaySeen(t *testing.T) {
	var x table
	if got := x.noted(); got != nil {
		t.Errorf("before any Ensure: got %v, want nil, so that the database is asked", got)
	}
	x.note(map[string]bool{"created": true, "expires": true})
	x.note(map[string]bool{"created": true}) // asked earlier, heard later
	if got := x.noted(); len(got) != 2 || !got["expires"] {
		t.Errorf("got %v, want both", got)
	}
	if got := x.noted(); got != nil {
		t.Errorf("asked again: got %v, want nil", got)
	}
}
