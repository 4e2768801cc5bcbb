package router

// told is what others say of a node: the server of itself, and other clients
// of the server.
type told struct {
	load  average // what the server reported as in flight lately, 0 if it doesn't
	usual average // the same over as many answers as the latency's average

	weight average // what clients make of its weight, see service.heed
	slower average // its latency as they see it, in the usual one
	voted  bool    // it was ejected because they did; guarded by the service's lock
}

// loadAlpha is how fast load follows the reports, which are to tell what has
// changed.
const loadAlpha = 0.3

// report takes in what the server says of itself, and whether it says
// anything.
func (t *told) report(l Load) bool {
	if !l.Reported || !(l.InFlight >= 0) {
		return false
	}
	in := min(l.InFlight, 1e6)
	if t.usual.value() == 0 {
		t.load.set(in)
		t.usual.set(in)
	}
	t.load.move(in, loadAlpha)
	t.usual.move(in, latencyAlpha)
	return true
}

// busier is how much longer a call takes than those that the latency is the
// average of, as far as the server's reports tell: processor sharing makes it
// grow with what is in flight. A server that always says the same changes
// nothing.
func (t *told) busier() float64 {
	if t.usual.value() <= 0 {
		return 1
	}
	return bounded((t.load.value() + 1) / (t.usual.value() + 1))
}

// shared is what other clients learn of a node.
type shared struct {
	sketch *sketch         // of its latencies; nil if nothing is shared
	before [classes]uint64 // the outcomes that they know; guarded by the service's lock
}
