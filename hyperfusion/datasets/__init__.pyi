from ._posts import make_posts as make_posts
from ._smp_video import load_smp_video as load_smp_video
