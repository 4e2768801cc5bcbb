package sim

import (
	"math/rand/v2"
	"time"
)

// Scenario is one world to balance load in.
type Scenario struct {
	Name    string
	Servers int
	Clients int
	Load    float64       // of the servers' capacity; 0: see Rate
	Rate    float64       // calls a second of each client, if Load is 0
	Calls   int           // how many, if Load is set
	Lasts   time.Duration // how long, if Rate is set
	Zones   int           // servers and clients are in so many zones in turn; 0: in none
	With    []Feature     // what is special
}

// Feature changes a world before its first call.
type Feature func(r *run)

const (
	cores    = 4
	mean     = 10 * time.Millisecond
	sigma    = 1.0
	network  = 250 * time.Microsecond
	deadline = time.Second
)

// Scenarios are those of the published table.
func Scenarios() []Scenario {
	return sized([]Scenario{
		{Name: "het .8", Load: .8, With: []Feature{Hetero}},
		{Name: "het .9", Load: .9, With: []Feature{Hetero}},
		{Name: "slow .7", Load: .7, With: []Feature{Slow}},
		{Name: "antag .7", Load: .7, With: []Feature{Antagonists}},
		{Name: "het .9, 100 clients", Load: .9, With: []Feature{Hetero}, Clients: 100},
		{Name: "fail .7", Load: .7, With: []Feature{Failing(.8)}},
		{Name: "slow .7, 100 clients", Load: .7, With: []Feature{Slow}, Clients: 100},
	}, 300_000)
}

// Troubles are what fleets go through beside that.
func Troubles() []Scenario {
	return sized([]Scenario{
		{Name: "500 clients that seldom call", Clients: 500, Rate: .2, Lasts: 10 * time.Minute, With: []Feature{Slow}},
		{Name: "bursts", Load: .6, With: []Feature{Bursts(50)}},
		{Name: "slow zone", Load: .5, Zones: 3, With: []Feature{SlowZone}},
		{Name: "garbage collection", Load: .6, With: []Feature{Pauses}},
		{Name: "cold start", Load: .6, With: []Feature{Cold}},
		{Name: "rolling deploy", Load: .6, With: []Feature{Cold, Deploy}},
		{Name: "fast errors of one", Load: .7, With: []Feature{Failing(1)}},
		{Name: "outage of 2 s", Load: .6, With: []Feature{Outage}},
		{Name: "a tenth hangs", Load: .3, With: []Feature{Hanging(.1)}},
		{Name: "servers with limits", Load: .85, With: []Feature{Hetero, Limited(8)}},
	}, 150_000)
}

func sized(all []Scenario, calls int) []Scenario {
	for i := range all {
		s := &all[i]
		s.Servers = 50
		if s.Clients == 0 {
			s.Clients = 20
		}
		if s.Load > 0 {
			s.Calls = calls
		}
	}
	return all
}

// Equals are worlds whose instances are all equal and well, but for the first
// call of each client to each, which takes 40 ms more: each instance should get
// equal work.
func Equals() []Scenario {
	var all []Scenario
	for _, s := range []Scenario{
		{Name: "3×1", Servers: 3, Clients: 1, Rate: 20}, {Name: "5×3", Servers: 5, Clients: 3, Rate: 20},
		{Name: "10×10", Servers: 10, Clients: 10, Rate: 20}, {Name: "50×1", Servers: 50, Clients: 1, Rate: 100},
		{Name: "200×1", Servers: 200, Clients: 1, Rate: 100, Lasts: 4 * 75 * time.Second}, {Name: "500×3", Servers: 500, Clients: 3, Rate: 100},
	} {
		if s.Lasts == 0 {
			s.Lasts = 75 * time.Second
		}
		s.With = []Feature{FirstCall(40 * time.Millisecond)}
		all = append(all, s)
	}
	return all
}

// Hetero makes the speeds .5, 1, 1, 1 and 1.5 in turn.
func Hetero(r *run) {
	for i, s := range r.servers {
		s.speed = []float64{.5, 1, 1, 1, 1.5}[i%5]
	}
}

// Slow is one server that works at a tenth of its speed.
func Slow(r *run) {
	r.after(r.warm, func() { r.servers[0].setSpeed(r.servers[0].speed / 10) })
}

// SlowZone is the first zone, whose servers work at a third of their speed.
func SlowZone(r *run) {
	r.after(r.warm, func() {
		for i := 0; i < len(r.servers); i += r.Zones {
			r.servers[i].setSpeed(r.servers[i].speed / 3)
		}
	})
}

// Failing is one server that fails a share of its calls, at once.
func Failing(share float64) Feature {
	return func(r *run) { r.after(r.warm, func() { r.servers[0].fails = share }) }
}

// Antagonists are neighbours that take .65 of a server's speed for a tenth of
// the time.
func Antagonists(r *run) {
	for _, s := range r.servers {
		r.nowAndThen(9*time.Second, func() time.Duration { return exponential(r.chance, time.Second) }, s, .35)
	}
}

// Pauses are those of a garbage collector: a server stands still for 50 to
// 150 ms every 3 s or so.
func Pauses(r *run) {
	for _, s := range r.servers {
		r.nowAndThen(3*time.Second, func() time.Duration {
			return 50*time.Millisecond + time.Duration(r.chance.Int64N(int64(100*time.Millisecond)))
		}, s, still)
	}
}

// still is the speed of a server that stands still.
const still = 1e-6

// nowAndThen makes a server work at a part of its speed for a while.
func (r *run) nowAndThen(each time.Duration, lasts func() time.Duration, s *server, part float64) {
	r.after(exponential(r.chance, each), func() {
		speed := s.speed
		s.setSpeed(part * speed)
		r.after(lasts(), func() {
			s.setSpeed(speed)
			r.nowAndThen(each, lasts, s, part)
		})
	})
}

// Cold makes the first 200 calls of a server take up to five times as long.
func Cold(r *run) {
	r.warm = 0
	for _, s := range r.servers {
		s.cold = coldCalls
	}
}

const coldCalls = 200

// Deploy replaces the servers in turn, each by a new one.
func Deploy(r *run) {
	r.warm = r.total / 5
	each := (r.total - r.warm) / time.Duration(len(r.servers)+1)
	for i := range r.servers {
		r.after(r.warm+time.Duration(i)*each, func() { r.replace(i) })
	}
}

// Outage is two seconds in which no server works; what came then is there when
// they do again.
func Outage(r *run) {
	r.after(r.warm+2*time.Second, func() {
		for _, s := range r.servers {
			speed := s.speed
			s.setSpeed(still)
			r.after(2*time.Second, func() { s.setSpeed(speed) })
		}
	})
}

// Hanging is a share of the calls that no server ever answers.
func Hanging(share float64) Feature { return func(r *run) { r.hangs = share } }

// Limited servers refuse what is more than n calls at a time for their speed.
func Limited(n int) Feature {
	return func(r *run) {
		for _, s := range r.servers {
			s.limit = max(int(float64(n)*s.speed), 1)
		}
	}
}

// Refusing is a share of the calls that each server refuses, however busy it is.
func Refusing(share float64) Feature { return func(r *run) { r.refuses = share } }

// Bursts are n calls at a time.
func Bursts(n int) Feature { return func(r *run) { r.burst = n } }

// FirstCall is what the first call of a client to a server takes more: the
// connection, and cold code.
func FirstCall(more time.Duration) Feature {
	return func(r *run) { r.first = more }
}

func exponential(r *rand.Rand, mean time.Duration) time.Duration {
	return time.Duration(r.ExpFloat64() * float64(mean))
}
