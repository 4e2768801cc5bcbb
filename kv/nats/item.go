package nats

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/micro/go-platform/internal/conn/nats"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/kv"
	gonats "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Headers of messages. Those of NATS are described in its ADR-8 (key-value) and
// ADR-43 (TTLs of messages).
const (
	headerEnd       = "Expires-At" // ours: the end of the life, in milliseconds since 1970
	headerTTL       = jetstream.MsgTTLHeader
	headerOperation = "KV-Operation" // DEL and PURGE are deletions
	headerMarker    = jetstream.MarkerReasonHeader
)

const (
	tombstone = time.Hour       // how long a deletion, or the end of a life, can be seen
	late      = 1 * time.Second // how much later than its end the server removes an item
	maxLife   = 100 * 365 * 24 * time.Hour
)

// stored is the last message of a key.
type stored struct {
	kv.Item
	sequence uint64
	deleted  bool
	ends     bool // it has a TTL
}

// alive reports whether there is an item.
func (s stored) alive() bool {
	return s.sequence != 0 && !s.deleted && (s.Expires.IsZero() || time.Now().Before(s.Expires))
}

// parse reads a message.
func parse(key string, h gonats.Header, data []byte, sequence uint64) stored {
	s := stored{sequence: sequence, Item: kv.Item{Key: key, Value: data}}
	if s.Value == nil {
		s.Value = []byte{}
	}
	s.deleted = h.Get(headerOperation) != "" || h.Get(headerMarker) != ""
	if end := h.Get(headerEnd); end != "" {
		if ms, err := strconv.ParseInt(end, 10, 64); err == nil {
			s.Expires, s.ends = time.UnixMilli(ms), true
		}
	}
	s.Revision = revision(sequence, s.ends)
	return s
}

// revision says in its lowest bit whether the item has a TTL: a condition on it
// then has to look whether its life is over.
func revision(sequence uint64, ends bool) kv.Revision {
	if ends {
		return kv.Revision(sequence<<1 | 1)
	}
	return kv.Revision(sequence << 1)
}

// answerWithin is how long an answer may take. One that is on its way while the
// connection breaks never comes, and the client does not say so.
const answerWithin = 5 * time.Second

var errUnanswered = errors.New("the server did not answer")

// unanswered returns another error for one of answerWithin: the caller's context
// goes on.
func unanswered(ctx context.Context, err error) error {
	if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return errUnanswered
	}
	return err
}

// message returns a message, as the bucket's leader has it.
func (d *driver) message(ctx context.Context, s jetstream.Stream, of nats.Of) (*jetstream.RawStreamMsg, error) {
	if !nats.Clustered(s) && of.Last != "" { // one server has it all, and answers sooner so
		return s.GetLastMsgForSubject(ctx, of.Last)
	}
	return nats.FromLeader(ctx, d.nc.Conn, d.stream, of)
}

// last returns the last message of a key; none has the sequence 0.
func (d *driver) last(ctx context.Context, key string) (stored, error) {
	s, err := d.open(ctx)
	if err != nil {
		return stored{}, err
	}
	asked, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	m, err := d.message(asked, s, nats.Of{Last: d.subject + encode(key)})
	err = unanswered(ctx, err)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return stored{}, nil
	case err != nil:
		d.lost(err)
		return stored{}, readError(err)
	}
	return parse(key, m.Header, m.Data, m.Sequence), nil
}

func (d *driver) Get(ctx context.Context, key string) (kv.Item, error) {
	s, err := d.last(ctx, key)
	switch {
	case err != nil:
		return kv.Item{}, err
	case !s.alive():
		return kv.Item{}, kv.ErrNotFound
	}
	return s.Item, nil
}

func (d *driver) Put(ctx context.Context, w kv.Write) (kv.Revision, error) {
	m := gonats.NewMsg(d.subject + encode(w.Key))
	m.Data = w.Value
	if w.TTL > 0 {
		end := time.Now().Add(min(w.TTL, maxLife)).Add(time.Millisecond - 1).UnixMilli()
		m.Header.Set(headerEnd, strconv.FormatInt(end, 10))
		m.Header.Set(headerTTL, seconds(min(w.TTL, maxLife)+late))
	}
	sequence, err := d.write(ctx, m, w.Key, w.IfAbsent, w.IfRevision)
	return revision(sequence, w.TTL > 0), err
}

func (d *driver) Delete(ctx context.Context, key string, rev kv.Revision) error {
	m := gonats.NewMsg(d.subject + encode(key))
	m.Header.Set(headerOperation, "DEL")
	m.Header.Set(headerTTL, seconds(tombstone))
	_, err := d.write(ctx, m, key, false, rev)
	return err
}

// seconds is a TTL as the server takes it: whole seconds, rounded up.
func seconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10) + "s"
}

// write publishes a message under a condition, which the server decides.
func (d *driver) write(ctx context.Context, m *gonats.Msg, key string, absent bool, rev kv.Revision) (uint64, error) {
	s, err := d.open(ctx)
	if err != nil {
		return 0, err
	}
	if config := s.CachedInfo().Config; !config.AllowMsgTTL {
		if m.Header.Get(headerEnd) != "" {
			return 0, fault.Markf(kv.ErrUnsupported, "the bucket %q has no TTLs: it lacks allow_msg_ttl", d.bucket)
		}
		m.Header.Del(headerTTL)
	}
	if rev&1 == 1 {
		now, err := d.last(ctx, key)
		if err != nil {
			return 0, err
		}
		if !now.alive() || now.Revision != rev {
			return 0, kv.ErrConflict
		}
	}
	conditional, expected := absent || rev != 0, uint64(rev>>1)
	for {
		opts := []jetstream.PublishOpt{jetstream.WithRetryAttempts(0)}
		if conditional {
			opts = append(opts, jetstream.WithExpectLastSequencePerSubject(expected))
		}
		asked, cancel := context.WithTimeout(ctx, answerWithin)
		ack, err := d.js.PublishMsg(asked, m, opts...)
		cancel()
		err = unanswered(ctx, err)
		switch {
		case err == nil:
			return ack.Sequence, nil
		case !conditional || !nats.Conflict(err):
			d.lost(err)
			return 0, writeError(err)
		case !absent:
			return 0, kv.ErrConflict
		}
		// What is there may be no item: the mark of a deletion, or one whose life
		// is over.
		now, err := d.last(ctx, key)
		if err != nil {
			return 0, err
		}
		if now.alive() {
			return 0, kv.ErrExists
		}
		expected = now.sequence
	}
}
