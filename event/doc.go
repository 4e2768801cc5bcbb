// Package event is a stream of what happens and the record of it: publish
// records, subscribe to them alone or in groups, and ask the history.
//
//	s, err := event.New()                               // in this process
//	s, err := event.New(redis.Backend("127.0.0.1:6379")) // the same code on Redis
//
//	sub, err := s.Subscribe(ctx, func(ctx context.Context, r *event.Record) error {
//		return charge(ctx, r.Data)
//	}, event.Types("order.created"), event.Group("billing"), event.Ordered(event.BySubject))
//
//	err = s.Publish(ctx, &event.Record{Type: "order.created", Subject: "order/42", Data: data})
//
// # Backends
//
// Memory is the default; Journal makes it durable. Packages event/redis (streams),
// event/nats (JetStream), event/kafka, event/rabbitmq and event/sql (SQLite, MySQL,
// PostgreSQL) are options of New. Package event/outbox publishes in the transaction
// of the database that a service writes to; event/inbox and event/kvinbox handle
// each record once. Features says what a backend can do. WithDriver takes your own,
// for which there are packages event/driver and eventtest.
//
// # Semantics
//
// A stream is one sequence of records. Publish adds at its end and returns
// when the records are as safe as the backend makes them. Nothing changes a
// record afterwards; WithRetention lets old ones go, but none that a group
// still needs.
//
//	publish ─▶ ──1──2──3──4──5──6──▶ now
//	                    ▲     ▲
//	        group "billing"   a subscription without a group
//
// A subscription without a group is handed every record from its position on.
// The members of a group share the records: each goes to one of them, at least
// once. The group's position is kept by the backend. When a member dies,
// others are handed what it had after AckWait; when it is closed, at once.
// Delivery is at least once: a handler must stand a repetition, and Record.ID
// tells it.
//
// A handler's error makes the record be tried again after a backoff, while
// other records go on; with Ordered, only those of other keys. After
// MaxAttempts, or at once with Terminate, it is published again as a dead
// letter of type "dead.<group>"; Original gives it back. Types that begin with
// "dead." are delivered only to those who name them.
//
// With one handler at a time, the default, records are handled in the order of
// the stream. With Ordered that holds for each key, with any Concurrency, over
// retries and over all members of the group.
//
// Records of one story have one RootID: what a handler publishes with its
// context inherits it, and has the handled record as ParentID.
//
// # Later
//
// PublishAt publishes records when a time has come: not before, and once,
// whichever processes run then. Schedule does so again and again, after each
// interval (Every) or by the wall clock of a place (Cron). Cancel takes back
// either. What is scheduled is as safe as the stream itself. When it is
// due, a process that publishes, subscribes or schedules on the stream publishes it.
//
// # Errors
//
// ErrInvalid and ErrTooLarge are the caller's; nothing was published.
// ErrUnavailable: certainly not published. ErrUnknownOutcome: a record that may
// be there; publishing it again under the same ID lets handlers see the
// repetition. A subscription reports no errors of its backend: it goes on
// trying, says so in Stats.Err and to the logger, and continues where it was.
//
// # Closing
//
// Close lets no new handler begin, gives back what was fetched, and waits for
// the handlers in flight, whose contexts stay alive until they return and with
// which they may still publish. When its context ends first it returns
// ErrTimeout and the number of handlers that still run; what is left of
// Close happens when they have returned.
package event
