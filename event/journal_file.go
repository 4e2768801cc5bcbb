package event

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"

	"github.com/micro/go-platform/internal/fault"
)

// journalFile is a file of a journal that grows at its end. The memory's mutex
// guards it.
type journalFile struct {
	dir    string
	synced bool
	enter  func(dir string) error // has the disk know the names in a folder

	file   *os.File
	size   int64
	named  bool  // the disk has the file's name, as far as it must
	broken error // why nothing can be written any more
}

// add writes at the end, all or nothing.
func (f *journalFile) add(b []byte) error {
	if f.broken != nil {
		return fault.Mark(ErrUnavailable, f.broken)
	}
	if !f.named {
		if err := f.enter(f.dir); err != nil {
			return fault.Mark(ErrUnavailable, err)
		}
		f.named = true
	}
	_, err := f.file.WriteAt(b, f.size)
	if err == nil && f.synced {
		err = f.file.Sync()
	}
	if err != nil { // take it back, or write no more
		f.broken = f.file.Truncate(f.size)
		if f.broken != nil {
			return fault.Mark(ErrUnknownOutcome, errors.Join(err, f.broken))
		}
		return fault.Mark(ErrUnavailable, err)
	}
	f.size += int64(len(b))
	return nil
}

const frameHead = 8

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendFrame appends 4 bytes of length and 4 of CRC-32C of what body appends, and
// that.
func appendFrame(b []byte, body func([]byte) []byte) []byte {
	start := len(b)
	b = body(append(b, make([]byte, frameHead)...))
	binary.LittleEndian.PutUint32(b[start:], uint32(len(b)-start-frameHead))
	binary.LittleEndian.PutUint32(b[start+4:], crc32.Checksum(b[start+frameHead:], castagnoli))
	return b
}
