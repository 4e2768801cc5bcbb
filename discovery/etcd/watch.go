package etcd

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/micro/go-platform/discovery"
	conn "github.com/micro/go-platform/internal/conn/etcd"
	"github.com/micro/go-platform/internal/fault"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/connectivity"
)

// answerTime is how long a sign of life may take.
const answerTime = 5 * time.Second

// Watch reads the set at a revision and follows it from the next.
//
// The client's own watch reconnects in silence, for as long as it takes. A
// session here ends instead when its connection breaks or nothing answers, so
// that readers learn that what they have is stale.
func (d *driver) Watch(parent context.Context, service string, deliver func(discovery.Update)) error {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	// What has to be answered ends the session when it isn't.
	late := time.AfterFunc(answerTime, func() { cancel(errLate) })
	defer late.Stop()
	r, err := d.Get(ctx, base(service), clientv3.WithPrefix())
	if err != nil {
		return ended(parent, ctx, err)
	}
	s := set{base: base(service), live: map[string]discovery.Entry{}, gone: map[string]bool{}}
	for _, kv := range r.Kvs {
		s.put(kv)
	}
	s.tell(deliver)

	guarded := make(chan struct{})
	go func() {
		defer close(guarded)
		c := d.ActiveConnection()
		for c.GetState() == connectivity.Ready {
			if !c.WaitForStateChange(ctx, connectivity.Ready) {
				return
			}
		}
		cancel(errBroken)
	}()
	defer func() { cancel(nil); <-guarded }()

	// All watches of a client share a stream and hear the same sign of life:
	// jitter lets one of them ask for all.
	wait := func() time.Duration { return d.poll - rand.N(d.poll/4) }
	late.Reset(answerTime)
	changes := d.Client.Watch(clientv3.WithRequireLeader(ctx), s.base, clientv3.WithPrefix(),
		clientv3.WithRev(r.Header.Revision+1), clientv3.WithProgressNotify()) // returns when it is answered
	late.Stop()
	quiet := time.NewTimer(wait())
	defer quiet.Stop()
	for {
		select {
		case w, ok := <-changes:
			if err := w.Err(); err != nil {
				return ended(parent, ctx, err)
			}
			if !ok {
				return ended(parent, ctx, errors.New("the watch ended"))
			}
			late.Stop()
			quiet.Reset(wait())
			if len(w.Events) > 0 {
				for _, e := range w.Events {
					s.apply(e)
				}
				s.tell(deliver)
			} else if w.IsProgressNotify() {
				deliver(discovery.Update{Same: true})
			}
		case <-quiet.C:
			late.Reset(answerTime)
			if err := d.RequestProgress(clientv3.WithRequireLeader(ctx)); err != nil {
				return ended(parent, ctx, err)
			}
		case <-ctx.Done():
			return ended(parent, ctx, nil)
		}
	}
}

var (
	errLate   = fault.Markf(fault.Unavailable, "no answer within %v", answerTime)
	errBroken = fault.Markf(fault.Unavailable, "the connection broke")
)

// ended prefers why the session was ended over what that made of a call.
func ended(parent, ctx context.Context, err error) error {
	if parent.Err() != nil {
		return parent.Err()
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if fault.KindOf(err) == nil {
		if marked := conn.Fault(err, false); fault.KindOf(marked) != nil {
			return marked
		}
		return fault.Mark(fault.Unavailable, err)
	}
	return err
}

// set is the state of one service.
type set struct {
	base string
	live map[string]discovery.Entry
	gone map[string]bool
}

// put takes over a key. What isn't an instance is left out.
func (s *set) put(kv *mvccpb.KeyValue) {
	name := string(kv.Key[len(s.base):])
	if name == "" {
		return
	}
	id := name[1:]
	switch name[0] {
	case '-':
		s.gone[id] = true
	case '+':
		var e discovery.Entry
		if json.Unmarshal(kv.Value, &e) == nil && e.ID == id {
			s.live[id] = e
		} else {
			delete(s.live, id)
		}
	}
}

func (s *set) apply(e *clientv3.Event) {
	if e.Type == clientv3.EventTypePut {
		s.put(e.Kv)
		return
	}
	name := string(e.Kv.Key[len(s.base):])
	if name == "" {
		return
	}
	switch name[0] {
	case '-':
		delete(s.gone, name[1:])
	case '+':
		delete(s.live, name[1:])
	}
}

// tell delivers the set, and then forgets who was deregistered: deliver has asked for
// it, and the next session reads it again. Else a service whose instances come and go
// would keep their names for as long as the registry does.
func (s *set) tell(deliver func(discovery.Update)) {
	deliver(s.update())
	s.gone = map[string]bool{}
}

// update copies the set for the front.
func (s *set) update() discovery.Update {
	all := make([]discovery.Instance, 0, len(s.live))
	for _, e := range s.live {
		all = append(all, e.Instance)
	}
	// These are asked only while deliver runs.
	return discovery.Update{Instances: all,
		TTL: func(id string) time.Duration { return s.live[id].TTL },
		Fate: func(id string) discovery.Fate {
			if s.gone[id] {
				return discovery.Deregistered
			}
			return discovery.Unknown
		},
	}
}
