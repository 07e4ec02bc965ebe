"""Signals become requests, and the handlers of others come back."""

import os
import signal
import threading

import pytest

from keras_dqn.system import signals

pytestmark = pytest.mark.numpy


def send(signum):
    os.kill(os.getpid(), signum)


@pytest.fixture(autouse=True)
def hangup():
    """As in a terminal, though the tests may run under `nohup`."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_is_a_request_to_stop(signum):
    with signals.handled(signals.COMMAND) as requests:
        assert not requests.stop
        send(signum)
        assert requests.stop
        assert not requests.take_save()


def test_only_the_second_interrupt_is_raised():
    with signals.handled(signals.COMMAND) as requests:
        for _ in range(3):
            send(signal.SIGTERM)
        send(signal.SIGINT)
        assert requests.stop
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)


def test_a_hangup_that_nohup_ignores_stays_ignored():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with signals.handled(signals.COMMAND) as requests:
        send(signal.SIGHUP)
        assert not requests.stop
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


def test_usr1_asks_for_one_checkpoint_and_not_to_stop():
    with signals.handled(signals.COMMAND) as requests:
        assert not requests.take_save()
        send(signal.SIGUSR1)
        assert requests.take_save()
        assert not requests.take_save()
        assert not requests.stop


def test_by_default_only_interrupts_are_handled():
    before = [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGUSR1)]
    with signals.handled():
        assert [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGUSR1)] == before


def test_the_handlers_that_were_there_come_back_whatever_happens():
    before = [signal.getsignal(s) for s in signals.COMMAND]
    with pytest.raises(ZeroDivisionError):
        with signals.handled(signals.COMMAND):
            assert all(signal.getsignal(s) not in before for s in signals.COMMAND)
            raise ZeroDivisionError
    assert [signal.getsignal(s) for s in signals.COMMAND] == before
    with signals.handled() as requests:  # and nothing is remembered
        assert not requests.stop


def test_inside_another_it_is_the_same_requests():
    with signals.handled(signals.COMMAND) as outer:
        with signals.handled() as inner:
            assert inner is outer
        send(signal.SIGTERM)  # still handled
        assert outer.stop


def test_outside_the_main_thread_nothing_is_touched():
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def work():
        with signals.handled() as requests:
            seen.extend([signal.getsignal(signal.SIGINT), requests.stop])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before, False]
