package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"
)

// world is the tests of a package, compiled for WASI.
type world struct {
	runtime           wazero.Runtime
	code              wazero.CompiledModule
	root, folder, tmp string // of the repository, of the package in it, for the tests
}

func load(ctx context.Context, code []byte, root, folder, tmp string) (*world, error) {
	r := wazero.NewRuntime(ctx)
	_, err := wasi_snapshot_preview1.Instantiate(ctx, r)
	if err != nil {
		return nil, errors.Join(err, r.Close(ctx))
	}
	compiled, err := r.CompileModule(ctx, code)
	if err != nil {
		return nil, errors.Join(err, r.Close(ctx))
	}
	return &world{runtime: r, code: compiled, root: root, folder: filepath.ToSlash(folder), tmp: tmp}, nil
}

// play runs a seed in a process of its own, and returns what it prints.
func (w *world) play(ctx context.Context, seed uint64) (out []byte, failed bool, err error) {
	tmp, err := os.MkdirTemp(w.tmp, "seed")
	if err != nil {
		return nil, false, err
	}
	var text bytes.Buffer
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	now := clock(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano())
	config := wazero.NewModuleConfig().WithName("").WithStdout(&text).WithStderr(&text).
		WithArgs("world", "-test.run", "^TestSimulated", "-test.v").
		WithEnv("SIM_SEED", strconv.FormatUint(seed, 10)).WithEnv("GOGC", "400").
		WithEnv("PWD", path.Join("/repository", w.folder)).WithEnv("TMPDIR", "/tmp").
		WithFSConfig(wazero.NewFSConfig().WithReadOnlyDirMount(w.root, "/repository").WithDirMount(tmp, "/tmp")).
		WithRandSource(rand.NewChaCha8(key)).
		WithNanotime(now.nanotime, 1).WithWalltime(now.walltime, 1).WithNanosleep(now.sleep)
	process, err := w.runtime.InstantiateModule(ctx, w.code, config)
	if process != nil {
		_ = process.Close(ctx)
	}
	var exit *sys.ExitError
	switch {
	case errors.As(err, &exit):
		return text.Bytes(), exit.ExitCode() != 0, nil
	case err != nil:
		return nil, false, fmt.Errorf("seed %d: %w\n%s", seed, err, text.Bytes())
	}
	return text.Bytes(), false, nil
}

// clock is a time that goes on by a microsecond whenever it is read. What is simulated has the
// clock of its bubble; this one is left to the runtime, which collects garbage by it.
type clock int64

func (c *clock) nanotime() int64          { *c += 1000; return int64(*c) }
func (c *clock) walltime() (int64, int32) { *c += 1000; return int64(*c / 1e9), int32(*c % 1e9) }
func (c *clock) sleep(ns int64)           { *c += clock(ns) }
