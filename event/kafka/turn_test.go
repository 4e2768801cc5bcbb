package kafka

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A partition that moves before a handler has begun with its next record does not
// count as an attempt at that: else a deployment that moves it often enough would
// make a dead letter of it.
func TestAMoveIsNoAttempt(t *testing.T) {
	for name, c := range map[string]struct {
		tried bool
		want  int
	}{"tried": {true, 2}, "not tried": {false, 1}} {
		first := &turn{}
		first.begin(5, "")
		first.records = []*kgo.Record{{Offset: 5}}
		if attempt, wanted := first.hand(); attempt != 1 || !wanted {
			t.Fatalf("%s: handed out the first time with attempt %d, wanted %v", name, attempt, wanted)
		}
		if c.tried {
			first.tried[5] = true
		}
		first.giveBack()
		next := &turn{}
		next.begin(first.floor, first.text())
		next.records = []*kgo.Record{{Offset: 5}}
		if attempt, _ := next.hand(); attempt != c.want {
			t.Errorf("%s: the next member's attempt is %d, want %d", name, attempt, c.want)
		}
	}
}
