from ._posts import make_posts as make_posts
from ._smp_video import load_smp_video as load_smp_video
from ._smpd import load_smpd as load_smpd
from ._submission import write_submission as write_submission
