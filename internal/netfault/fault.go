package netfault

import (
	"math/rand/v2"
	"time"
)

// A Direction is a set of the ways that bytes take.
type Direction uint8

// Directions.
const (
	Requests Direction = 1 << iota // from the client to the target
	Replies                        // from the target to the client
	Both     = Requests | Replies
)

// rules is what happens to bytes.
type rules struct {
	held    Direction
	dropped Direction
	delay   time.Duration
	jitter  time.Duration
	rate    int // bytes a second; 0: no limit
	cut     int // replies to lose; negative: all
}

// due returns when bytes that arrive now may pass.
func (r rules) due() time.Time {
	d := r.delay
	if r.jitter > 0 {
		d += rand.N(r.jitter)
	}
	return time.Now().Add(d)
}

// set changes the rules and wakes whoever waits because of them.
func (p *Proxy) set(change func(*rules)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.update(change)
}

func (p *Proxy) update(change func(*rules)) {
	change(&p.rules)
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *Proxy) now() (rules, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rules, p.changed
}

// Hold lets connections be made and no byte pass, as a partition does that is over before TCP
// gives up: after Heal everything arrives.
func (p *Proxy) Hold(d Direction) { p.set(func(r *rules) { r.held |= d }) }

// Drop loses bytes, and the news that a side has closed. Nobody is told. Since TCP knows no
// holes, Heal resets the connections that lost something.
func (p *Proxy) Drop(d Direction) { p.set(func(r *rules) { r.dropped |= d }) }

// Delay makes bytes arrive d later, plus up to jitter. It adds to the round trip twice.
func (p *Proxy) Delay(d, jitter time.Duration) {
	p.set(func(r *rules) { r.delay, r.jitter = d, jitter })
}

// Throttle limits each connection to a number of bytes a second in each direction.
func (p *Proxy) Throttle(bytesPerSecond int) { p.set(func(r *rules) { r.rate = bytesPerSecond }) }

// CutReplies lets requests reach the target and resets the connection instead of forwarding the
// reply, n times; a negative n means until Heal. It leaves clients without knowing whether their
// request was carried out.
func (p *Proxy) CutReplies(n int) { p.set(func(r *rules) { r.cut = n }) }

// takeCut reports whether a reply is to be lost.
func (p *Proxy) takeCut() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.rules.cut == 0:
		return false
	case p.rules.cut > 0:
		p.rules.cut--
	}
	return true
}

// Reset resets (RST) the connections that exist. New ones are served.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.abort(func(*link) bool { return true })
}

// Refuse makes new connections fail at once, as if nobody listened. Those that exist go on: add
// Reset for a server that has died.
func (p *Proxy) Refuse() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopListening()
}

// Heal ends all faults.
func (p *Proxy) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	p.abort(func(l *link) bool { return l.lossy.Load() })
	p.update(func(r *rules) { *r = rules{} })
	if p.listener == nil {
		if err := p.listen(); err != nil {
			p.t.Errorf("netfault: %v", err)
		}
	}
}
