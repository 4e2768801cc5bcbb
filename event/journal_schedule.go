package event

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/micro/go-platform/event/internal/codec"
	"github.com/micro/go-platform/internal/fault"
)

// planFile is the schedule of a journal: each change as 4 bytes of length and 4 of
// CRC-32C of what follows, a byte that says which change it is, and
//
//	'+'  due in ms since 1970 and the end of the log, both as varints, the ID and
//	     the recurrence as texts, and the encoded record: it takes the former's place
//	'-'  the ID
type planFile struct {
	journalFile
	lines int // changes in the file
}

// rewriteAfter is how many changes that no longer count the file has before it is
// written again.
const rewriteAfter = 1000

func (j *journal) loadSchedule(m *memory) error {
	f, err := os.OpenFile(filepath.Join(j.dir, "schedule.dat"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	j.plan = &planFile{journalFile: journalFile{dir: j.dir, synced: j.synced, enter: j.enter, file: f}}
	if err := j.enter(j.dir); err != nil { // the file may be new
		return err
	}
	j.plan.named = true
	b, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	for rest := b; len(rest) >= frameHead; {
		n := int(binary.LittleEndian.Uint32(rest))
		if n < 1 || n > len(rest)-frameHead {
			break // the last change, whose call has not returned
		}
		body := rest[frameHead : frameHead+n]
		if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(rest[4:]) {
			break
		}
		if !m.schedule.replay(string(body)) {
			return fmt.Errorf("schedule.dat is not understood at byte %d", j.plan.size)
		}
		rest = rest[frameHead+n:]
		j.plan.size += int64(frameHead + n)
		j.plan.lines++
	}
	return f.Truncate(j.plan.size)
}

// replay makes a change that was read.
func (s *memorySchedule) replay(body string) bool {
	p := codec.Parser{Rest: body[1:]}
	if body[0] == '-' {
		s.remove(p.Text())
		return !p.Bad
	}
	e := &planned{loaded: true}
	e.Due = time.UnixMilli(p.Varint()).UTC()
	e.after = p.Uvarint()
	e.ID, e.Recurrence = p.Text(), p.Text()
	if p.Bad {
		return false
	}
	r, err := parseRecord(p.Rest)
	if err != nil {
		return false
	}
	e.Record = r
	s.put(e)
	return true
}

func (f *planFile) put(list []*planned, s *memorySchedule) error {
	var b []byte
	for _, p := range list {
		b = appendPlanned(b, p)
	}
	return f.write(b, len(list), s)
}

func appendPlanned(b []byte, p *planned) []byte {
	return appendFrame(b, func(b []byte) []byte {
		b = append(b, '+')
		b = binary.AppendVarint(b, p.Due.UnixMilli())
		b = binary.AppendUvarint(b, p.after)
		b = codec.AppendText(codec.AppendText(b, p.ID), p.Recurrence)
		return codec.Append(b, p.Record.encodable())
	})
}

func (f *planFile) remove(id string, s *memorySchedule) error {
	return f.write(appendFrame(nil, func(b []byte) []byte { return codec.AppendText(append(b, '-'), id) }), 1, s)
}

// write adds changes, all or none, and now and then writes the whole file again.
func (f *planFile) write(b []byte, lines int, s *memorySchedule) error {
	if f.broken == nil && f.lines > 2*len(s.byID)+rewriteAfter {
		if err := f.rewrite(s); err != nil {
			return fault.Mark(ErrUnavailable, err)
		}
	}
	if err := f.add(b); err != nil {
		return err
	}
	f.lines += lines
	return nil
}

// rewrite replaces the file by one that has only what counts.
func (f *planFile) rewrite(s *memorySchedule) error {
	var b []byte
	for _, p := range s.due {
		b = appendPlanned(b, p)
	}
	name := filepath.Join(f.dir, "schedule.tmp")
	next, err := os.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	_, err = next.Write(b)
	if err == nil && f.synced {
		err = next.Sync()
	}
	if err == nil {
		err = os.Rename(name, filepath.Join(f.dir, "schedule.dat"))
	}
	if err != nil {
		next.Close()
		return err
	}
	f.file.Close()
	f.file, f.size, f.lines, f.named = next, int64(len(b)), len(s.due), false
	return nil
}
