package etcd

import (
	"context"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// renewals renews leases on one stream, one after another. The client's
// KeepAliveOnce opens a stream for each, which doubles what a heartbeat sends;
// its KeepAlive sends by itself and doesn't say when.
type renewals struct {
	turn   chan struct{} // held by whoever uses the stream
	stream etcdserverpb.Lease_LeaseKeepAliveClient
	cancel context.CancelFunc // ends the stream
}

func newRenewals() *renewals { return &renewals{turn: make(chan struct{}, 1)} }

// RenewLease restarts the TTL of a lease and reports whether the lease was there.
func (c *Conn) RenewLease(ctx context.Context, id clientv3.LeaseID) (bool, error) {
	r := c.renewals
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return false, ctx.Err()
	}
	// A stream from an earlier renewal may have broken since: another one may
	// work. To renew twice is harmless.
	used := r.stream != nil
	alive, err := r.roundTrip(ctx, c, id)
	if err != nil && used && ctx.Err() == nil {
		alive, err = r.roundTrip(ctx, c, id)
	}
	if ctx.Err() != nil {
		return false, ctx.Err()
	}
	return alive, err
}

func (r *renewals) roundTrip(ctx context.Context, c *Conn, id clientv3.LeaseID) (alive bool, err error) {
	defer func() {
		if err != nil {
			r.end()
		}
	}()
	if r.stream == nil {
		var own context.Context
		own, r.cancel = context.WithCancel(c.Ctx())
		stop := context.AfterFunc(ctx, r.cancel)
		defer stop()
		r.stream, err = etcdserverpb.NewLeaseClient(c.ActiveConnection()).LeaseKeepAlive(own)
		if err != nil {
			return false, err
		}
	} else {
		stop := context.AfterFunc(ctx, r.cancel)
		defer stop()
	}
	if err := r.stream.Send(&etcdserverpb.LeaseKeepAliveRequest{ID: int64(id)}); err != nil {
		return false, err
	}
	resp, err := r.stream.Recv()
	if err != nil {
		return false, err
	}
	return resp.TTL > 0, nil
}

// end gives the stream up.
func (r *renewals) end() {
	if r.cancel != nil {
		r.cancel()
	}
	r.stream, r.cancel = nil, nil
}
