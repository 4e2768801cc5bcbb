// Command archive writes the repository's modules into a folder as a module
// proxy serves them, so that consumers can be built from the very archives that
// a release would publish:
//
//	go run ./scripts/archive v0.1.0 /tmp/proxy
//	GOPROXY=file:///tmp/proxy,$(go env GOPROXY) GONOSUMDB=github.com/micro/go-platform go get github.com/micro/go-platform@v0.1.0
//
// It takes the files of the working tree that git tracks or does not ignore. A
// nested module's requirement of the root is of the same version.
package main

import (
	"archive/zip"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// root is the module path of the repository.
const root = "github.com/micro/go-platform"

// released are the folders of the modules that users import. The others build
// servers, tests and benchmarks.
var released = []string{".", "config/sops", "openfeature", "wrapper/micro"}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: archive VERSION FOLDER")
		os.Exit(2)
	}
	if err := write(".", os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "archive:", err)
		os.Exit(1)
	}
}

var semver = regexp.MustCompile(`^v[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?$`)

// write makes the proxy of all released modules of the repository.
func write(repository, version, folder string) error {
	if !semver.MatchString(version) {
		return fmt.Errorf("version %q, want one like v1.2.3", version)
	}
	list := exec.Command("git", "-C", repository, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate")
	out, err := list.Output()
	if err != nil {
		return fmt.Errorf("git ls-files: %w", err)
	}
	files := slices.DeleteFunc(strings.Split(string(out), "\x00"), func(f string) bool { return f == "" })
	var modules []string // all folders with a go.mod
	for _, f := range files {
		if path.Base(f) == "go.mod" {
			modules = append(modules, path.Dir(f))
		}
	}
	for _, m := range released {
		if !slices.Contains(modules, m) {
			return fmt.Errorf("%s has no go.mod", m)
		}
		own := slices.DeleteFunc(slices.Clone(files), func(f string) bool { return moduleOf(f, modules) != m })
		if err := writeModule(repository, m, own, version, folder); err != nil {
			return fmt.Errorf("%s: %w", m, err)
		}
	}
	return nil
}

// moduleOf returns the folder of the module that a file belongs to.
func moduleOf(file string, modules []string) string {
	for dir := path.Dir(file); ; dir = path.Dir(dir) {
		if slices.Contains(modules, dir) {
			return dir
		}
		if dir == "." {
			return ""
		}
	}
}

// writeModule writes @v/list, .info, .mod and .zip (https://go.dev/ref/mod#goproxy-protocol).
func writeModule(repository, module string, files []string, version, folder string) error {
	name := path.Join(root, module)
	dir := filepath.Join(folder, filepath.FromSlash(name), "@v")
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	mod, err := goMod(filepath.Join(repository, module, "go.mod"), version)
	if err != nil {
		return err
	}
	info, err := json.Marshal(map[string]any{"Version": version, "Time": time.Now().UTC().Truncate(time.Second)})
	if err != nil {
		return err
	}
	var archive bytes.Buffer
	z := zip.NewWriter(&archive)
	for _, f := range files {
		full := filepath.Join(repository, f)
		at, err := os.Lstat(full)
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted in the working tree
		}
		if err != nil {
			return err
		}
		if !at.Mode().IsRegular() {
			continue // as the go command does
		}
		inner := strings.TrimPrefix(f, module+"/")
		b := mod
		if inner != "go.mod" {
			b, err = os.ReadFile(full)
			if err != nil {
				return err
			}
		}
		if err := add(z, name+"@"+version+"/"+inner, b); err != nil {
			return err
		}
	}
	if module != "." { // the go command gives nested modules the root's licence
		b, err := os.ReadFile(filepath.Join(repository, "LICENSE"))
		if err != nil {
			return err
		}
		if err := add(z, name+"@"+version+"/LICENSE", b); err != nil {
			return err
		}
	}
	if err := z.Close(); err != nil {
		return err
	}
	list, err := os.OpenFile(filepath.Join(dir, "list"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(list, version)
	return cmp.Or(err, list.Close(),
		os.WriteFile(filepath.Join(dir, version+".info"), info, 0o640),
		os.WriteFile(filepath.Join(dir, version+".mod"), mod, 0o640),
		os.WriteFile(filepath.Join(dir, version+".zip"), archive.Bytes(), 0o640))
}

// add adds a file to an archive. It is not compressed, since the archive is read
// once and its hash is that of what is in it.
func add(z *zip.Writer, name string, text []byte) error {
	w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
	if err != nil {
		return err
	}
	_, err = w.Write(text)
	return err
}

var requireRoot = regexp.MustCompile(`(?m)^(\s*(?:require )?` + regexp.QuoteMeta(root) + `) v\S+`)

// goMod returns a go.mod that requires the root at the given version.
func goMod(file, version string) ([]byte, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return requireRoot.ReplaceAll(b, []byte("$1 "+version)), nil
}
