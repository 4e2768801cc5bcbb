// Package kafka keeps event streams in Apache Kafka, 2.8 or later; groups that
// share records one by one need 4.2 or later.
//
//	s, err := event.New(kafka.Backend("10.0.0.1:9092"), event.WithNamespace("shop"))
//
// # Semantics
//
// A stream is one topic, "events-<namespace>" or WithTopic's, and beside it the
// compacted topic "groups-of-<topic>", which says what groups there are. Topics
// that are missing are made, without a retention of Kafka's: what removes records
// is event.WithRetention, whose Bytes are estimated from samples. In a topic that
// others made, Kafka's own retention applies, also to what a group has not read.
//
// Records are published with acks=all by an idempotent producer. Several records
// of one Publish are not atomic. A record that is larger than the topic's
// max.message.bytes is ErrTooLarge before anything is sent.
//
// # Messages
//
// A record is a CloudEvent in the binary mode of the Kafka Protocol Binding:
// headers ce_id, ce_type and so on, content-type, and Data as the value. RootID,
// ParentID and metadata are extensions, as package cloudevents writes them. The key
// is the record's subject, or what WithKey says. Events of other producers are read
// in binary and in structured mode. A message that is no CloudEvent is left out of
// queries and subscriptions, with a line in the log, and is a dead letter to a
// group.
//
// # Partitions and positions
//
// With one partition, the default, a stream is one sequence of records, and a
// position is the offset of one. With more, only records of one partition, and so
// of one key, keep their order; readers merge the partitions by the time at which
// the brokers stored records, as far as they have them. A position is then a
// vector: the last offset before it of every partition, "17,4,-1". It says where
// its reader was, and is as long as the topic has partitions. A record that is
// handed to a group has the position "partition:offset"; reading on from it, the
// other partitions are read from the time of the record, so some of theirs may come
// again. Adding partitions to a topic changes which one a key is in.
//
// At finds its place by the brokers' time of storing, or of a topic that others
// made perhaps by the producers' time, to the millisecond. Queries read what they
// have to look at: Kafka has no index of types, ids or subjects.
//
// # Groups
//
// A group without Ordered is a share group (KIP-932): the brokers hand records
// out one by one under a lock, and count how often. The lock lasts for AckWait
// within the brokers' bounds (15 s to 60 s unless they are set), and is renewed in the
// background. A connection that breaks, or a process that dies, gives back at
// once what was handed out. The brokers count every time that they hand a record
// out, also if it is given back unhandled, and drop a record after
// group.share.max.delivery.count.limit times, ten unless it is set: before that it
// goes to the dead letters, whatever MaxAttempts says.
//
// A group with Ordered is a classic group with cooperative rebalancing: each
// partition belongs to one member at a time. With one partition one member works and
// the others stand by; with more they share the partitions, and Ordered holds for
// keys that stay within one: by subject, or by what WithKey says too. When a
// partition moves to a member that joins, the handlers of its records are waited for,
// for three quarters of the time that a rebalance may take (AckWait, 10 s at the
// least), and what they have done is committed: the new member begins after them. A
// member that dies is noticed after AckWait, within the brokers'
// bounds for sessions (6 s to 30 min unless they are set). Kafka forgets the position of
// a classic group without members after offsets.retention.minutes, seven days: the
// group then begins again where it began.
//
// On brokers without share groups, all groups are classic. All members of a group
// are ordered, or none. The id of a group in Kafka is
// "<topic>/<group>/<eight digits>".
//
// # Errors
//
// A Publish that Kafka does not answer in time is event.ErrUnknownOutcome, and may
// be stored later, once; one that was not sent is event.ErrUnavailable. A user who may
// not is event.ErrDenied, from Subscribe too, and in Stats.Err if a right to a group is
// taken away later.
//
// # Closing
//
// An engine given to On stays open.
package kafka
