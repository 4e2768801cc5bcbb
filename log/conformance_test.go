package log_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/micro/go-platform/log"
	"github.com/micro/go-platform/log/logtest"
)

func TestConformance(t *testing.T) {
	t.Run("memory", func(t *testing.T) {
		logtest.Run(t, logtest.Harness{Output: func(testing.TB) (log.Option, func() []string) {
			m := log.NewRecorder(0, nil)
			return log.Memory(m), m.Records
		}})
	})
	for _, e := range []log.Encoding{log.JSON(), log.Logfmt(), log.Human(false)} {
		t.Run("file "+e.Name(), func(t *testing.T) {
			logtest.Run(t, logtest.Harness{
				Output: func(t testing.TB) (log.Option, func() []string) {
					path := filepath.Join(t.TempDir(), "app.log")
					return log.ToFile(path, log.FileEncoding(e)), func() []string {
						b, _ := os.ReadFile(path)
						if len(b) == 0 {
							return nil
						}
						return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
					}
				},
			})
		})
	}
}
