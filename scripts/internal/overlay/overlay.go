// Package overlay builds tests of changed code. The files on disk stay as they are.
package overlay

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Files are changed or added files, by the path that they have in the build.
type Files map[string][]byte

// Test builds the tests of a package with the files, and returns the binary, which is in dir. There is
// none, and no error, if the package has no tests.
func (f Files) Test(dir, pkg string) (string, error) {
	replace := map[string]string{}
	for path, text := range f {
		changed := filepath.Join(dir, fmt.Sprintf("%d-%s", len(replace), filepath.Base(path)))
		if err := os.WriteFile(changed, text, 0o600); err != nil {
			return "", err
		}
		replace[path] = changed
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	overlay, binary := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "test")
	if err := os.WriteFile(overlay, list, 0o600); err != nil {
		return "", err
	}
	out, err := exec.Command("go", "test", "-vet=off", "-c", "-overlay", overlay, "-o", binary, pkg).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	if _, err := os.Stat(binary); err != nil {
		return "", nil
	}
	return binary, nil
}
