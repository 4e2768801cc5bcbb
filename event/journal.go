package event

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/fault"
)

// Journal keeps the stream in memory and in files of a folder, which is made
// if it isn't there; one process at a time. Publish returns when the
// operating system has the records, so they survive the end of the process. A
// group's position is written several times a second: after a crash its last
// records may come again. Retention is that of Memory.
func Journal(dir string) Option { return journalOption(dir, false) }

// SyncedJournal is Journal that returns from Publish when the disk has
// the records, so that they survive the end of the machine.
func SyncedJournal(dir string) Option { return journalOption(dir, true) }

func journalOption(dir string, synced bool) Option {
	return func(o *options) error {
		if dir == "" {
			return invalidf("a journal needs a folder")
		}
		return WithDriver("journal", func(_ context.Context, s Settings) (Driver, error) {
			m := newMemory(s.Retention)
			name := "events"
			if s.Namespace != "" {
				name += "-" + s.Namespace
			}
			var sync func(dir string) error
			if synced {
				sync = syncDir
			}
			j, err := openJournal(filepath.Join(dir, name), sync, m)
			if err != nil {
				return nil, err
			}
			m.j = j
			return m, nil
		})(o)
	}
}

// journal is the log of a memory stream in segments, each named by the
// position of its first record, and the groups in a file beside them.
//
// A record is 4 bytes of length and 4 of CRC-32C of what follows: 8 bytes of
// the time of publication in nanoseconds, and the encoded record.
type journal struct {
	lock *os.File

	// Guarded by the memory's mutex.
	journalFile          // the last segment
	segments    []uint64 // their first positions, ascending
	plan        *planFile
	buf         []byte

	// Of the groups.
	dirty bool // guarded by the memory's mutex
	stop  chan struct{}
	wg    sync.WaitGroup
}

const (
	segmentSize = 8 << 20
	groupsEvery = 100 * time.Millisecond
)

// openJournal reads what is there into m. A journal is synced if sync is not nil,
// which is called for each folder in which a name is new.
func openJournal(dir string, sync func(dir string) error, m *memory) (*journal, error) {
	if err := makeFolder(dir, sync); err != nil {
		return nil, fault.Mark(ErrUnavailable, err)
	}
	lock, err := lockFile(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, fault.Markf(ErrUnavailable, "journal %s is in use: %w", dir, err)
	}
	j := &journal{journalFile: journalFile{dir: dir, synced: sync != nil, enter: sync}, lock: lock, stop: make(chan struct{})}
	if sync == nil {
		j.enter = func(string) error { return nil }
	}
	if err := j.load(m); err != nil {
		j.release()
		return nil, fault.Markf(ErrUnavailable, "journal %s: %w", dir, err)
	}
	j.wg.Go(func() { j.keepGroups(m) })
	return j, nil
}

func (j *journal) path(first uint64) string {
	return filepath.Join(j.dir, fmt.Sprintf("%020d.log", first))
}

func (j *journal) load(m *memory) error {
	entries, err := os.ReadDir(j.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		number, is := strings.CutSuffix(e.Name(), ".log")
		if !is {
			continue
		}
		first, err := strconv.ParseUint(number, 10, 64)
		if err != nil || first == 0 {
			return fmt.Errorf("%s is no segment", e.Name())
		}
		j.segments = append(j.segments, first)
	}
	slices.Sort(j.segments)
	if len(j.segments) > 0 {
		m.log.base = j.segments[0] - 1
		m.log.end = m.log.base
	}
	for i, first := range j.segments {
		if first != m.log.end+1 {
			return fmt.Errorf("records %d to %d are missing", m.log.end+1, first-1)
		}
		last := i == len(j.segments)-1
		mode := os.O_RDONLY
		if last {
			mode = os.O_RDWR
		}
		f, err := os.OpenFile(j.path(first), mode, 0o600)
		if err != nil {
			return err
		}
		if last {
			j.file = f
		}
		end, whole, err := replay(f, m)
		switch {
		case err == nil && last: // it may end in the middle of a record, whose Publish has not returned
			err = f.Truncate(end)
		case err == nil && !whole:
			err = fmt.Errorf("%s is damaged at byte %d", filepath.Base(j.path(first)), end)
		}
		if !last {
			f.Close()
		}
		if err != nil {
			return err
		}
		j.size = end
	}
	if err := j.loadGroups(m); err != nil {
		return err
	}
	return j.loadSchedule(m)
}

// replay reads a segment. end is behind its last whole record.
func replay(f io.Reader, m *memory) (end int64, whole bool, err error) {
	in := bufio.NewReaderSize(f, 1<<16)
	var head [frameHead]byte
	for {
		if _, err := io.ReadFull(in, head[:]); err == io.EOF {
			return end, true, nil
		} else if err != nil {
			return end, false, tornOnly(err)
		}
		n := binary.LittleEndian.Uint32(head[:])
		if n < 8 || n > 1<<30 {
			return end, false, nil
		}
		// Read piece by piece: a damaged length must not take the memory.
		body, err := io.ReadAll(io.LimitReader(in, int64(n)))
		if err != nil {
			return end, false, err
		}
		if len(body) < int(n) || crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(head[4:]) {
			return end, false, nil
		}
		r, err := parseRecord(string(body[8:]))
		if err != nil {
			return end, false, err
		}
		m.log.add(int64(binary.LittleEndian.Uint64(body)), body[8:], len(body)-8-len(r.Data))
		end += frameHead + int64(n)
	}
}

func tornOnly(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// append writes records, all or none. The memory's mutex is held.
func (j *journal) append(first uint64, at int64, d *draft) error {
	if j.broken == nil && (j.file == nil || j.size >= segmentSize) {
		if err := j.rotate(first); err != nil {
			return fault.Mark(ErrUnavailable, err)
		}
	}
	b := j.buf[:0]
	d.all(func(r []byte, _ int) {
		b = appendFrame(b, func(b []byte) []byte {
			return append(binary.LittleEndian.AppendUint64(b, uint64(at)), r...)
		})
	})
	j.buf = b
	if cap(b) > 1<<20 {
		j.buf = nil
	}
	return j.add(b)
}

// rotate begins a segment.
func (j *journal) rotate(first uint64) error {
	f, err := os.OpenFile(j.path(first), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if j.file != nil {
		j.file.Close()
	}
	j.file, j.size, j.named = f, 0, false
	j.segments = append(j.segments, first)
	return nil
}

// drop removes the segments that only have records up to base.
func (j *journal) drop(base uint64) {
	for len(j.segments) > 1 && j.segments[1] <= base+1 {
		if os.Remove(j.path(j.segments[0])) != nil {
			return
		}
		j.segments = j.segments[1:]
	}
}

// close writes the groups a last time and releases the folder.
func (j *journal) close(m *memory) error {
	close(j.stop)
	j.wg.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	err := j.writeGroups(m.encodeGroups())
	if j.file != nil {
		err = errors.Join(err, j.file.Sync())
	}
	return errors.Join(err, j.plan.file.Sync(), j.release())
}

// release closes the files that are open.
func (j *journal) release() error {
	var errs []error
	if j.file != nil {
		errs = append(errs, j.file.Close())
	}
	if j.plan != nil {
		errs = append(errs, j.plan.file.Close())
	}
	return errors.Join(append(errs, j.lock.Close())...)
}
