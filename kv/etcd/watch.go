package etcd

import (
	"context"
	"errors"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/kv"
	kvdriver "github.com/micro/go-platform/kv/driver"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// quiet is how long nothing may come before the cluster is asked for a sign of
// life, and patience how long anything asked may take. The client itself would
// reconnect in silence without end.
const (
	quiet    = 5 * time.Second
	patience = 5 * time.Second
)

// Watch reads the state at one revision, from 0, and follows what comes behind
// the revision that it knows.
func (d *driver) Watch(ctx context.Context, prefix string, from uint64, sink kvdriver.Sink) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	rev := int64(from)
	if from == 0 {
		bounded, stop := context.WithTimeout(ctx, time.Minute)
		var err error
		rev, err = d.each(bounded, prefix, "", func(item kv.Item) bool {
			sink.Put(item)
			return true
		})
		stop()
		if err != nil {
			return unavailable(err)
		}
	}
	// A member that is cut off from its leader would keep silent.
	events := d.Client.Watch(clientv3.WithRequireLeader(ctx), prefix, clientv3.WithRange(clientv3.GetPrefixRangeEnd(prefix)), clientv3.WithRev(rev+1),
		clientv3.WithCreatedNotify(), clientv3.WithProgressNotify())
	idle := time.NewTimer(patience)
	defer idle.Stop()
	created := false
	for {
		select {
		case r, ok := <-events:
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case !ok:
				return fault.Mark(kv.ErrUnavailable, errors.New("the watch was closed"))
			case r.CompactRevision != 0:
				return kvdriver.ErrGap
			case r.Err() != nil:
				return unavailable(readError(r.Err()))
			}
			for _, e := range r.Events {
				tell(e, sink)
			}
			if r.Created {
				created = true
				sink.Synced(uint64(rev))
			} else if r.Header.Revision > rev {
				rev = r.Header.Revision
				sink.Synced(uint64(rev))
			}
			idle.Reset(quiet)
		case <-idle.C:
			if !created {
				return fault.Markf(kv.ErrUnavailable, "no watch within %v", patience)
			}
			bounded, stop := context.WithTimeout(ctx, patience)
			_, err := d.Client.Get(bounded, "\x00", clientv3.WithCountOnly())
			stop()
			if err != nil {
				return unavailable(readError(err))
			}
			idle.Reset(quiet)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func unavailable(err error) error {
	if errors.Is(err, fault.Unavailable) || errors.Is(err, fault.Invalid) || errors.Is(err, fault.Denied) {
		return err
	}
	return fault.Mark(kv.ErrUnavailable, err)
}

func tell(e *clientv3.Event, sink kvdriver.Sink) {
	key := string(e.Kv.Key)
	if !valid(key) {
		return // another program's
	}
	if e.Type == clientv3.EventTypeDelete {
		sink.Delete(key)
		return
	}
	if item, alive := itemOf(e.Kv); alive {
		sink.Put(item)
	} else {
		sink.Delete(key)
	}
}
