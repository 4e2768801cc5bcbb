package page

import (
	"testing"
	"time"
)

// The bound is one of memory: what a tier may not keep any more it gives back.
func TestATierShrinks(t *testing.T) {
	var kept tier
	for i := range 2000 {
		kept.add(Point{Time: time.Unix(int64(i), 0)}, sampleEvery, 1500)
	}
	if len(kept.points) != 1500 {
		t.Fatalf("%d points, want 1500", len(kept.points))
	}
	kept.add(Point{Time: time.Unix(2000, 0)}, sampleEvery, 10)
	if n, room := len(kept.points), cap(kept.points); n != 10 || room > 36 || kept.points[9].Time != time.Unix(2000, 0) {
		t.Errorf("%d points in the room of %d, want the newest 10 in at most 36", n, room)
	}
}
