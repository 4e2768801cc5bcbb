package driver

import "github.com/micro/go-platform/event"

// Holder is an event.Member that knows by its own clock whether it may still be the
// exclusive one. The front asks before every handler, so it must be cheap. When
// the answer is no, the front has dropped everything that it held: that turn is
// over, and the next one begins with handing all of it out again.
type Holder interface{ Holds() bool }

// Tracker is an event.Member some of whose deliveries may become another's while it
// keeps the rest, and that waits for the handlers of those before it gives them up.
// Its methods are called around each attempt, so they must be cheap. After ErrLost
// from Fetch or Extend the front drops what is not Kept, and nothing else.
type Tracker interface {
	// Begin reports whether a handler may begin with a delivery. If not, the front
	// drops the delivery; else it calls End.
	Begin(d event.Delivered) bool

	// End says that the handler has returned, or has run for so long that it is left
	// behind: what it was at is tried again beside it. done: the delivery is done, and
	// Ack will say so too.
	End(d event.Delivered, done bool)

	// Kept reports whether a delivery is still this member's.
	Kept(d event.Delivered) bool
}
