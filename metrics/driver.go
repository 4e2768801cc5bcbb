package metrics

import "context"

// A Driver pushes snapshots to one backend. Rules for a driver:
//
//  1. Export is called by one goroutine at a time, every WithInterval, for
//     Flush, and a last time at Close. It returns promptly when ctx ends.
//  2. Counters and histograms in a snapshot are totals since they began
//     (Series.Created). A driver that sends differences keeps the last totals
//     by Series.ID; a total below the last one is of a new series.
//  3. What could not be sent is counted in Sent.Dropped; the error says why.
//     Nothing is kept for a later export but what the driver itself keeps.
//  4. Ping asks whether the backend answers; a driver that can't know returns nil.
//  5. Close releases what the driver itself opened. No Export follows it.
type Driver interface {
	Export(ctx context.Context, s *Snapshot) (Sent, error)
	Ping(ctx context.Context) error
	Close() error
}

// A Sampler is a Driver that sends single observations of histograms rather
// than buckets. Series.Samples has at most about Samples() of them.
type Sampler interface {
	Samples() int
}

// Sent counts what one export did.
type Sent struct {
	Packets   uint64 // datagrams or requests that were sent
	Bytes     uint64
	Dropped   uint64 // that could not be
	Sanitized uint64 // names, keys or values that had to be changed
}
