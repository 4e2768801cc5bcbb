package statsd

import (
	"context"
	"errors"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/cactus/go-statsd-client/v5/statsd"
	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/metrics"
)

type driver struct {
	options
	sender statsd.Sender
	owned  bool
	ping   func(ctx context.Context) error
	last   map[uint64]total // counters as they were last sent, by series
}

// total is how far a counter was sent. Few counters have fractions, such as
// seconds of the processor; the others are whole numbers of any size.
type total struct {
	count uint64
	value float64
}

// Samples is how many values of a histogram one export takes.
func (d *driver) Samples() int { return 64 }

func (d *driver) Ping(ctx context.Context) error {
	if d.ping == nil {
		return nil
	}
	return d.ping(ctx)
}

func (d *driver) Close() error {
	if !d.owned {
		return nil
	}
	return d.sender.Close()
}

// batch collects lines into packets.
type batch struct {
	d       *driver
	ctx     context.Context
	packet  []byte
	commits []commit // what is sent once the packet is
	sent    metrics.Sent
	err     error
}

type commit struct {
	id  uint64
	now total
}

// pace is how many packets are sent without a pause: a receiver's socket
// buffer holds about that many.
const pace = 32

func (d *driver) Export(ctx context.Context, s *metrics.Snapshot) (metrics.Sent, error) {
	b := &batch{d: d, ctx: ctx, packet: make([]byte, 0, d.packet)}
	seen := make(map[uint64]bool, len(d.last))
	for i := range s.Families {
		f := &s.Families[i]
		for j := range f.Series {
			seen[f.Series[j].ID] = true
			b.series(f, &f.Series[j])
		}
	}
	b.flush()
	maps.DeleteFunc(d.last, func(id uint64, _ total) bool { return !seen[id] })
	return b.sent, b.err
}

func (b *batch) series(f *metrics.Family, one *metrics.Series) {
	d := b.d
	var increase string
	var now total
	switch f.Kind {
	case metrics.KindCounter:
		increase, now = d.increase(one)
		if increase == "" {
			return
		}
	case metrics.KindHistogram:
		if len(one.Samples) == 0 {
			return
		}
	}
	infix, suffix, changed := d.dialect.name(f.Name, f.Keys, one.Values)
	b.sent.Sanitized += changed
	line := make([]byte, 0, 128)
	switch f.Kind {
	case metrics.KindCounter:
		line = append(append(append(line, infix...), ':'), increase...)
		b.add(append(append(line, "|c"...), suffix...), commit{one.ID, now})
	case metrics.KindGauge, metrics.KindUpDownCounter:
		if one.Value < 0 { // a sign means a change: go to 0 first, in the same packet
			line = append(append(line, infix...), ":0|g"...)
			line = append(append(line, suffix...), '\n')
		}
		line = append(append(line, infix...), ':')
		line = append(strconv.AppendFloat(line, one.Value+0, 'f', -1, 64), "|g"...) // +0: no minus before a zero
		b.add(append(line, suffix...), commit{})
	case metrics.KindHistogram:
		unit, factor := "|h", 1.0
		if f.Unit == "s" || f.Unit == "seconds" || strings.HasSuffix(f.Name, "_seconds") {
			unit, factor = "|ms", 1000
		}
		for _, sample := range one.Samples {
			line = append(append(line[:0], infix...), ':')
			line = append(appendValue(line, sample.Value*factor), unit...)
			if sample.Weight > 1 {
				line = append(line, "|@"...)
				line = strconv.AppendFloat(line, 1/float64(sample.Weight), 'f', -1, 64)
			}
			b.add(append(line, suffix...), commit{})
		}
	}
}

// increase returns what a counter has more than was sent, "" for nothing, and how
// far it is sent then. Receivers of some dialects cut fractions off: they get the
// whole numbers, and the rest when there is one more.
func (d *driver) increase(one *metrics.Series) (text string, now total) {
	last := d.last[one.ID]
	if one.Value < last.value || one.Count < last.count { // a new series with an old id: can't be, but then it is all new
		last = total{}
	}
	if one.Value == float64(one.Count) && last.value == float64(last.count) || d.dialect.whole() {
		if one.Count == last.count {
			return "", last
		}
		return strconv.FormatUint(one.Count-last.count, 10), total{one.Count, float64(one.Count)}
	}
	text = string(appendValue(nil, one.Value-last.value))
	if text == "0" {
		return "", last
	}
	return text, total{one.Count, one.Value}
}

// appendValue writes up to nine decimals: a nanosecond has six in milliseconds.
func appendValue(b []byte, v float64) []byte {
	n := len(b)
	b = strconv.AppendFloat(b, v, 'f', 9, 64)
	end := len(b)
	for b[end-1] == '0' {
		end--
	}
	if b[end-1] == '.' {
		end--
	}
	if string(b[n:end]) == "-0" {
		return append(b[:n], '0')
	}
	return b[:end]
}

// add puts a line into the packet, after sending what it doesn't fit behind.
func (b *batch) add(line []byte, c commit) {
	if len(line) > b.d.packet {
		b.sent.Dropped++
		b.err = errors.Join(b.err, fault.Markf(fault.TooLarge, "a line of %d bytes", len(line)))
		return
	}
	if len(b.packet)+1+len(line) > b.d.packet {
		b.flush()
	}
	if len(b.packet) > 0 {
		b.packet = append(b.packet, '\n')
	}
	b.packet = append(b.packet, line...)
	if c.id != 0 {
		b.commits = append(b.commits, c)
	}
}

// flush sends the packet.
func (b *batch) flush() {
	if len(b.packet) == 0 {
		return
	}
	packet, commits := b.packet, b.commits
	b.packet, b.commits = b.packet[:0], b.commits[:0]
	err := b.ctx.Err()
	if err == nil && b.sent.Packets%pace == pace-1 {
		err = backoff.Sleep(b.ctx, time.Millisecond)
	}
	if err == nil {
		_, err = b.d.sender.Send(packet)
	}
	if err != nil {
		b.sent.Dropped++
		if b.err == nil {
			b.err = fault.Mark(fault.Unavailable, err)
		}
		return
	}
	b.sent.Packets++
	b.sent.Bytes += uint64(len(packet))
	for _, c := range commits {
		b.d.last[c.id] = c.now
	}
}
