//go:build !unix

package main

import "os/exec"

// job is a command. Systems other than Unix can not ask it to end, and what it has started goes on.
type job struct{ cmd *exec.Cmd }

func newJob(cmd *exec.Cmd, _, _ bool) *job { return &job{cmd} }

func (j *job) start() error          { return j.cmd.Start() }
func (j *job) waitForCommand() error { return j.cmd.Wait() }
func (j *job) terminate()            { _ = j.cmd.Process.Kill() }
func (j *job) kill()                 { _ = j.cmd.Process.Kill() }
func (j *job) alive() bool           { return false }
