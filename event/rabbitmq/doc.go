// Package rabbitmq keeps event streams in RabbitMQ, 3.10 or later: streams for the
// records, quorum queues for groups, both through AMQP 0.9.1.
//
//	s, err := event.New(rabbitmq.Backend("amqp://app:secret@10.0.0.1/vhost"), event.WithNamespace("shop"))
//
// # Semantics
//
// A stream is one RabbitMQ stream, "events/<namespace>", behind a topic exchange of
// the same name with the record's type as routing key. Positions are the stream's
// offsets. Publish returns when the server has confirmed all records: a majority of
// the stream's nodes has them, in their page cache. Several records of one Publish
// are not atomic. Any queue may be bound to the exchange; a confirm covers it too.
//
// At goes by the server's clock, which it asks in whole seconds; within that second
// it goes by the publishers'. Queries read what they have to look at: RabbitMQ has no
// index of types, ids or subjects.
//
// There is no event.WithRetention, which would have to wait for groups: New
// returns event.ErrUnsupported. WithMaxAge and WithMaxBytes are RabbitMQ's own
// retention, also for what a group has not been handed.
//
// # Messages
//
// A record is a CloudEvent in binary mode with the names of the AMQP Protocol Binding
// as headers, cloudEvents_id, cloudEvents_type and so on, since that binding is for
// AMQP 1.0, to which RabbitMQ translates them. RootID, ParentID and metadata are
// extensions, as package cloudevents writes them. The properties message-id, type,
// timestamp and content-type say the same to those who know nothing of CloudEvents.
// Headers are in one frame of up to 128 KiB; a record with more, in ids and
// metadata, has all of it in its body, of the content type
// "application/vnd.go-platform.record". Events of others are read in binary and in
// structured mode; a message without attributes has the type of its property, or
// its routing key. A body above the engine's limit is event.ErrTooLarge before
// anything is sent.
//
// # Groups
//
// A group is a quorum queue, "events/<namespace>:group/<name>:<id>", that is fed from
// the stream: one of the processes with members copies the records of the group's
// types to it, in order and with their positions, and notes in a small stream how
// far it came. A lock that ends with its connection says which one.
//
//	Publish ─▶ exchange ─▶ stream ─▶ feeder ─▶ quorum queue ─▶ members
//
// Binding the queue to the exchange would be simpler, and wrong: stream and queue
// would have concurrent records in different orders, the queue would not know
// positions, a group could not begin in the past, each group would slow down
// Publish, and a confirm that is lost could leave a record in one and not in the
// other. Reading the stream alone would lack acknowledgement of single records, and
// the count of deliveries that outlives a consumer. The feeder stops while 20,000
// records wait, so that a group which is far behind is not stored twice.
//
// RabbitMQ before 4.3 counts every hand-out, so a record that was given back without
// being tried has one attempt less. From 4.3 on it does not count what a member gives
// back when it closes; it counts what an ordered member gives back, and what one had
// whose connection broke. x-delivery-limit is set out of reach: MaxAttempts and the dead
// letters of package event are before it. A record must be acknowledged within the
// server's consumer_timeout, 30 minutes; after that all that the member has is handed out
// again, and the member of an ordered group takes fewer at a time.
//
// A dead connection is noticed at once, a silent one within two to three
// heartbeats, of a third of AckWait each, in whole seconds: three seconds at least.
//
// Groups with Ordered have a single active consumer, which is set when the group is
// made: Ordered for a group that was made without is event.ErrConflict. Its members
// have up to 1000 records at a time, those that wait behind others of their key
// among them.
//
// Lag counts as pending what members of this process have; of others, RabbitMQ does
// not say. Who deletes a group's queue in RabbitMQ loses what was in it. Who deletes
// the stream loses what was in it; groups go on with what the next one has, from its
// beginning, also where its positions were noted before. A subscription without a
// group goes on with what comes when it has noticed.
//
// # Errors
//
// A Publish without an answer is event.ErrUnknownOutcome. While the server has an
// alarm, of memory or disk, and takes no messages, Publish waits until its deadline
// and is event.ErrUnavailable; members go on. A user who may not is event.ErrDenied:
// rights to read and write what begins with "events" suffice for a stream and groups
// that are there, but for the lock ("…:feeder/…"), which has to be made.
//
// # Closing
//
// An engine given to On stays open.
package rabbitmq
