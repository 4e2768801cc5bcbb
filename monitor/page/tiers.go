package page

import (
	"slices"
	"time"
)

const (
	sampleEvery = 2 * time.Second
	fineFor     = 5 * time.Minute
	pointBytes  = 64  // of a Point
	mostPoints  = 300 // of a service in an answer
)

// tiers are how finely samples are kept, and how long if the bound allows: the
// newest each, older ones together.
var tiers = [...]struct{ every, keep time.Duration }{
	{sampleEvery, fineFor},
	{30 * time.Second, time.Hour},
	{5 * time.Minute, 7 * 24 * time.Hour},
}

// lengths says how many points of a service each tier may hold so that all of
// them take no more than limit bytes. The finest has the first claim.
func lengths(limit, services int) (out [len(tiers)]int) {
	left := limit / pointBytes / max(services, 1)
	for i, t := range tiers {
		out[i] = min(left, int(t.keep/t.every))
		left -= out[i]
	}
	return out
}

// covering is the finest tier that reaches as far back as over, or the one that
// reaches furthest.
func covering(over time.Duration, keep [len(tiers)]int) int {
	best := 0
	for i, t := range tiers {
		if time.Duration(keep[best])*tiers[best].every >= over {
			break
		}
		if time.Duration(keep[i])*t.every > time.Duration(keep[best])*tiers[best].every {
			best = i
		}
	}
	return best
}

// tier keeps points that each stand for a stretch of time.
type tier struct {
	points []Point // oldest first; their times are the ends of the stretches
	sum    Point   // of the samples of the stretch that is not over
	n      int     // how many
	ends   time.Time
}

// add takes in a sample, and forgets what is more than keep points back.
func (t *tier) add(p Point, every time.Duration, keep int) {
	if every <= sampleEvery {
		t.points = append(t.points, p)
	} else {
		if t.n > 0 && !p.Time.Before(t.ends) {
			t.points = append(t.points, t.mean())
			t.n = 0
		}
		if t.n == 0 {
			t.sum, t.ends = Point{}, p.Time.Truncate(every).Add(every)
		}
		t.sum = t.sum.and(p)
		t.n++
	}
	if over := len(t.points) - keep; over > 0 {
		t.points = slices.Delete(t.points, 0, over)
	}
	if cap(t.points) > 2*keep+16 { // there were fewer services before
		t.points = slices.Clone(t.points)
	}
}

// and adds up two points; of the quantiles the higher stay, so that a short
// trouble is not averaged out of sight.
func (p Point) and(q Point) Point {
	return Point{q.Time, p.Rate + q.Rate, p.Errors + q.Errors, max(p.P50, q.P50), max(p.P95, q.P95), max(p.P99, q.P99)}
}

func (t *tier) mean() Point {
	p := t.sum
	p.Rate /= float64(t.n)
	p.Errors /= float64(t.n)
	return p
}

// after returns a copy of what came after a time, with the stretch that is not
// over.
func (t *tier) after(begin time.Time) []Point {
	i, _ := slices.BinarySearchFunc(t.points, begin, func(p Point, at time.Time) int {
		if p.Time.After(at) {
			return 1
		}
		return -1
	})
	out := append([]Point{}, t.points[i:]...)
	if t.n > 0 && t.sum.Time.After(begin) {
		out = append(out, t.mean())
	}
	return out
}

// thin makes one point of those that fall into the same step.
func thin(points []Point, step time.Duration) []Point {
	if step <= sampleEvery {
		return points
	}
	var t tier
	for _, p := range points {
		t.add(p, step, len(points))
	}
	return t.after(time.Time{})
}
