package servertest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// prepared makes the folder dir with what fill, which runs program with args, leaves in it. That is
// made once for all test binaries, in the folder that scripts/servers installs into, and copied: some
// servers take seconds of processor time to prepare their data. Another program or other arguments
// make another one; the folder that dir is in may be named in them.
func prepared(dir, program string, args []string, fill func() error) error {
	info, err := os.Stat(program)
	if err != nil {
		return err
	}
	flags := strings.ReplaceAll(strings.Join(args, "\n"), filepath.Dir(dir), "")
	sum := sha256.Sum256(fmt.Append(nil, program, "\n", info.ModTime(), "\n", flags))
	model := filepath.Join(Cache(), "prepared", fmt.Sprintf("%x", sum[:8]))
	if _, err := os.Stat(model); err == nil {
		return os.CopyFS(dir, os.DirFS(model))
	}
	if err := fill(); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(model), 0o755); err != nil {
		return err
	}
	half, err := os.MkdirTemp(filepath.Dir(model), "half-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(half)
	if err := os.CopyFS(half, os.DirFS(dir)); err != nil {
		return err
	}
	// Another test binary may have been faster: its folder is as good.
	if err := os.Rename(half, model); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return nil
}
