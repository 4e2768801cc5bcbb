package ring

import (
	"testing"
	"testing/synctest"
	"time"
)

// A machine whose clock was never set gives versions that others can go beyond.
func TestVersionsBeforeTheEpoch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the time is that of 2000
		early := clock{node: 1}
		first := early.next(0)
		if second := early.next(0); second <= first || timeOf(second).After(time.UnixMilli(epoch2020+1)) {
			t.Errorf("versions %d and %d, of %v", first, second, timeOf(second))
		}
		theirs := uint64(1000) << 22
		if v := early.next(theirs); v <= theirs || timeOf(v) != timeOf(theirs) {
			t.Errorf("version %d above %d, want the next one", v, theirs)
		}
	})
}
