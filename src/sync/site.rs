//! The name of every place where threads meet.
//!
//! An operation passes its site to the facade. In a program that is all; in a
//! model one site at a time can be weakened (see `loom-tests`).

macro_rules! sites {
    ($($name:ident,)*) => {
        /// One atomic operation, or one look again, in the sources.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[cfg_attr(
            not(feature = "internal-model"),
            allow(dead_code, reason = "some sites are in seams for tests only")
        )]
        pub(crate) enum Site {
            $($name,)*
        }

        #[cfg(crossbeam_loom)]
        impl Site {
            pub(crate) const ALL: &[Site] = &[$(Site::$name,)*];
        }
    };
}

sites! {
    ArmWakes,
    Ask,
    AskOrigin,
    AskWhy,
    AttachLook,
    AttachMark,
    AttachRecheck,
    AwayClear,
    AwayLook,
    AwaySet,
    Behead,
    BeheadLoad,
    Bury,
    BuryLoad,
    BuryReap,
    BuryReapLoad,
    CalledWakes,
    Cancel,
    Close,
    Contention,
    ContentionLook,
    CountDead,
    CountHandles,
    CountState,
    Cross,
    CrossHelps,
    CrossLook,
    Cut,
    DeadlineAsk,
    DeadlineBorn,
    DriverExit,
    DriverGone,
    DriverLook,
    DriverRun,
    DriverStartFailed,
    DriverWake,
    Expire,
    ExtensionInstall,
    ExtensionLoad,
    FateClaim,
    FateClaimLoad,
    FateCount,
    FateFire,
    FateFireLoad,
    FateFireSlot,
    FateFree,
    FateHold,
    FateOff,
    FateReleased,
    FateReplace,
    FateRun,
    FateRunLoad,
    FateStop,
    FateStopLoad,
    FateUnlinked,
    FillNext,
    FiredBuries,
    First,
    FreeDespiteWalk,
    FreeLoad,
    GapClose,
    GapNext,
    HandleClone,
    HandleDrop,
    HandlePeek,
    HandleZero,
    HeadInOrder,
    HeadLanes,
    HeadMark,
    HeadPeek,
    HeadSeenClosed,
    Hold,
    HoldAsk,
    HoldLoad,
    JoinLetGo,
    JoinLoad,
    JoinPush,
    JoinRelease,
    JoinReleased,
    JoinSeen,
    LanesInstall,
    LanesLoad,
    LanesPeek,
    LateInstall,
    LateLoad,
    Leave,
    LeaveLoad,
    LetGo,
    LetGoLoad,
    LinkBorn,
    LinkNext,
    LinkSeen,
    LookAgain,
    LoserHelps,
    ManualNow,
    ManualReach,
    Mark,
    MarkOwner,
    MomentAt,
    MomentDue,
    MomentDueLoad,
    MomentSet,
    MomentSetLoad,
    MoveWakes,
    MovedRecheck,
    NoteLeave,
    NoteLook,
    NoteSpread,
    NumberLoad,
    NumberSet,
    Orphan,
    OrphanLoad,
    PendingDrop,
    PendingStore,
    PostponeKeeps,
    Push,
    PushNext,
    ReapEmpty,
    ReapHead,
    Request,
    RequestLeave,
    RequestLeaveLoad,
    RequestLoad,
    RequestTake,
    RequestTakeLoad,
    Settle,
    SettleLoad,
    SleepsLoad,
    SleepsNobody,
    SleepsNot,
    SleepsUnknown,
    SleepsUntil,
    SnapshotHandles,
    SnapshotOrigin,
    SnapshotState,
    StateOwns,
    StateTake,
    StepOver,
    SweepHead,
    Tie,
    TimerEnd,
    TimerEndLoad,
    TimerFire,
    TimerFireLoad,
    TimerFired,
    TimerFiredLoad,
    TimerFreed,
    TimerFreedLoad,
    TimerIn,
    TimerNew,
    TimerNode,
    TimerOff,
    TimerOffLoad,
    TimerRequest,
    TimerRequestLoad,
    TimerSet,
    TimerTake,
    TimerTakeLoad,
    UnlinkNext,
    UnlinkPrev,
    ValueIndexFree,
    ValueIndexInstall,
    ValueIndexLoad,
    WaitLook,
    WaitRecheck,
    WalkEnter,
    WalkLeave,
    WalkedRead,
    WalkersRead,
}

/// A way to weaken a site.
#[cfg(crossbeam_loom)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Weakening {
    /// Does not acquire.
    Acquire,
    /// Does not release.
    Release,
    /// Does not acquire when it fails.
    FailureAcquire,
    /// Reads by a load instead of a read-modify-write.
    PlainRead,
    /// Does not look again.
    Skip,
}

#[cfg(crossbeam_loom)]
impl Weakening {
    pub(crate) const ALL: &[Weakening] = &[
        Self::Acquire,
        Self::Release,
        Self::FailureAcquire,
        Self::PlainRead,
        Self::Skip,
    ];

    pub(crate) fn bit(self) -> u8 {
        1 << self as u8
    }
}
