package outlet

import "time"

// Trouble is what goes wrong.
type Trouble struct {
	Err   error
	Again bool   // what Err is about is sent again
	Lost  uint64 // items since it was last told
}

// Seldom is between two tellings, at least.
const Seldom = 10 * time.Second

// Teller keeps a flood out of a log: what goes on in the same way is told once
// until Well, and nothing sooner than Seldom after the last. Its zero value is
// ready. It is not safe for concurrent use.
type Teller struct {
	next time.Time
	told string
}

// Worth reports whether what is worth telling at now.
func (t *Teller) Worth(what string, now time.Time) bool {
	if now.Before(t.next) || what == t.told {
		return false
	}
	t.next, t.told = now.Add(Seldom), what
	return true
}

// Well says that it does not go on.
func (t *Teller) Well() { t.told = "" }

// teller is what an outlet tells by.
type teller struct {
	waits, losses Teller // a loss is told also soon after the outage that it comes of
	lost          uint64 // that was told
	good          uint64 // losses when something was last sent
}

// trouble returns what is worth saying about an attempt. o.mu is held.
func (o *Outlet[T, B]) trouble(c outcome) (Trouble, bool) {
	t, total := &o.teller, o.stats.Lost().Items
	err, again := c.why, false
	if c.err != nil {
		err, again = c.err, true
	}
	if o.ctx.Err() != nil {
		err, again = nil, false // Close says it
	}
	gate := &t.waits
	if total > t.good {
		gate = &t.losses
	}
	if c.sent.Items > 0 {
		t.waits.Well()
		t.losses.Well()
		if err == nil && total > t.good && o.Note == nil {
			err = errFull
		}
		t.good = total
	}
	if err == nil || !gate.Worth(err.Error(), time.Now()) {
		return Trouble{}, false
	}
	told := Trouble{Err: err, Again: again, Lost: total - t.lost}
	t.lost = total
	return told, true
}
